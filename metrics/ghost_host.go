package metrics

// A hostGhost is what all ghosts know of one host.
type hostGhost struct {
	parts []ghostPart // one for each ghost of the Meter, in their order

	dialTime     int64 // what the real pool's quicker dials take; 0: none yet
	serverCloses bool  // its server has been seen to close idle connections

	keeps      *keepAlive // for how long the server keeps idle connections, as far as is known
	leavesNone bool       // what is closed first here leaves no TIME_WAIT

	spoiled int // connections whose return is to come, and that are of no use to any pool
	drained int // or of none to net/http

	// The results that need no ghost.
	begun      uint64 // connections that "one per request" would have dialled
	perRequest uint64 // of those, closed
	recent     minute // when
	curve      curve
}

// ghosts are all of a Meter's. Their order is that of the models.
type ghosts []*ghost

func newGhosts(configured []Ghost) ghosts {
	all, _ := models(configured)
	gs := make(ghosts, len(all))
	for i, g := range all {
		gs[i] = newGhost(g)
	}
	return gs
}

// host returns a hostGhost for these ghosts, of a server that keeps idle
// connections for that long.
func (gs ghosts) host(keeps *keepAlive) *hostGhost {
	h := &hostGhost{parts: make([]ghostPart, len(gs)), keeps: keeps}
	for i := range h.parts {
		h.parts[i].host = h
	}
	return h
}

// step does what e says. An event that is earlier than the one before it is
// taken to be as late.
func (gs ghosts) step(e event) {
	h := e.ghost
	switch e.kind {
	case leased:
		h.begun++
		h.curve.lease()
		for i, g := range gs {
			g.advance(e.at)
			g.lease(&h.parts[i])
		}
	case returned:
		gs.giveBack(h, e.at)
	case dialed:
		h.learnDialTime(e.at)
	case spoiled:
		gs.advance(e.at)
		h.spoiled++
	case drained:
		gs.advance(e.at)
		h.drained++
	case serverCloses:
		gs.advance(e.at)
		h.serverCloses = true
	case leavesNone:
		gs.advance(e.at)
		h.leavesNone = true
	}
}

func (gs ghosts) giveBack(h *hostGhost, now int64) {
	if h.perRequest == h.begun {
		return // it was not heard of
	}
	h.perRequest++
	h.recent.add(now)
	bad := true
	switch {
	case h.spoiled > 0:
		h.spoiled--
	case h.drained > 0:
		h.drained--
		h.curve.giveBack()
	default:
		bad = false
		h.curve.giveBack()
	}
	for i, g := range gs {
		g.advance(now)
		g.giveBack(&h.parts[i], bad)
	}
}

// advance lets time pass until now.
func (gs ghosts) advance(now int64) {
	for _, g := range gs {
		g.advance(now)
	}
}

// learnDialTime keeps what the quicker dials take: it follows them at once, and
// the slower ones by a 64th. Most of a pool's dials come in bursts, when they
// keep one another and the machine busy; with their mean the ghosts claimed up
// to a quarter more than net/http on a busy machine.
func (h *hostGhost) learnDialTime(took int64) {
	took = max(took, 1)
	if h.dialTime > 0 {
		took = min(took, h.dialTime+h.dialTime/64)
	}
	h.dialTime = took
}

// TLS says that the connections to this host speak TLS. The ghosts then claim
// no TIME_WAIT for it, but for [PerRequest], which is a bound. Whoever closes a
// TLS connection says close_notify, and most servers answer with theirs: it
// comes to a socket that is closed, which the kernel resets. Of 50 connections
// that net/http closed, HAProxy, Apache, Caddy and net/http's server left 0 to
// 4 in TIME_WAIT. nginx, which does not answer, left 24 to 50, as it happened to
// close before us or not.
func (h *Host) TLS() {
	h.tell(h.now(), leavesNone)
}

// Drained says that the caller of a request has closed its response unread, and
// that the pool has read the rest; it comes before the request's [Host.Return].
// net/http would have closed the connection. Where something has arrived that it
// had not read, that is a reset, which leaves no TIME_WAIT: so the ghosts claim
// none, and do not get the connection back.
func (h *Host) Drained() {
	h.tell(h.now(), drained)
}
