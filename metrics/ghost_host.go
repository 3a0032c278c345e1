package metrics

// A hostGhost is what all ghosts know of one host.
type hostGhost struct {
	parts []ghostPart // one for each ghost of the Meter, in their order

	dialTime     int64 // moving mean of the real pool's dials; 0: none yet
	serverCloses bool  // its server has been seen to close idle connections
	leavesNone   bool  // what is closed first here leaves no TIME_WAIT

	running int // requests that have not ended
	spoiled int // returned connections that are of no use to any pool

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

// host returns a hostGhost for these ghosts.
func (gs ghosts) host() *hostGhost {
	h := &hostGhost{parts: make([]ghostPart, len(gs))}
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
		h.running++
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
	case serverCloses:
		gs.advance(e.at)
		h.serverCloses = true
	case leavesNone:
		gs.advance(e.at)
		h.leavesNone = true
	}
}

func (gs ghosts) giveBack(h *hostGhost, now int64) {
	if h.running == 0 {
		return // leased before the host was known to need a ghost
	}
	h.running--
	h.perRequest++
	h.recent.add(now)
	bad := h.spoiled > 0
	if bad {
		h.spoiled--
	} else {
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

// learnDialTime moves the mean an eighth of the way, as TCP does for its
// round-trip time.
func (h *hostGhost) learnDialTime(took int64) {
	took = max(took, 0)
	if h.dialTime == 0 {
		h.dialTime = took
		return
	}
	h.dialTime += (took - h.dialTime) / 8
}
