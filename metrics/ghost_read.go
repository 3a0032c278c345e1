package metrics

// A result is what one model says: of PerRequest first, then of each ghost.
type result struct{ have, dial, stand uint64 }

// haunt fills in what the ghosts have to say. The hosts of s are there
// already, and are these.
func (m *Meter) haunt(s *Snapshot, hosts []*Host) {
	if len(hosts) == 0 {
		gs := newGhosts(m.Ghosts)
		gs.tell(s, make([]result, len(gs)+1))
		return
	}
	now := hosts[0].now()
	m.feed.settle(now, func(gs ghosts) {
		results, total := make([]result, len(gs)+1), make([]result, len(gs)+1)
		sizes := 0
		for _, h := range hosts {
			sizes += h.ghost.curve.sizes()
		}
		curves := make([]WhatIf, sizes)
		for i := range s.Hosts {
			h := &s.Hosts[i]
			g := hosts[i].ghost
			g.read(results, now)
			gs.tell(&h.Snapshot, results)
			for j, r := range results {
				total[j].have += r.have
				total[j].dial += r.dial
				total[j].stand += r.stand
			}
			if h.Multiplexed = hosts[i].multiplexed.Load(); !h.Multiplexed {
				n := g.curve.sizes()
				h.Curve, curves = curves[:n:n], curves[n:]
				g.curve.read(h.Curve, !g.leavesNone)
			}
		}
		gs.tell(s, total)
	})
}

// read fills in the results for h.
func (h *hostGhost) read(results []result, now int64) {
	results[0] = result{h.perRequest, h.begun, h.recent.read(now)}
	for i := range h.parts {
		p := &h.parts[i]
		results[i+1] = result{p.closed, p.dials, p.recent.read(now)}
	}
}

// tell gives s the results, by name.
func (gs ghosts) tell(s *Snapshot, results []result) {
	s.WouldHave = make(map[string]uint64, len(results))
	s.WouldDial = make(map[string]uint64, len(results))
	s.WouldStand = make(map[string]uint64, len(results))
	for i, r := range results {
		name := PerRequest
		if i > 0 {
			name = gs[i-1].name
		}
		s.WouldHave[name], s.WouldDial[name], s.WouldStand[name] = r.have, r.dial, r.stand
	}
}
