package metrics

// name gives s the names of the models.
func (gs ghosts) name(s *Snapshot) {
	s.WouldHave = make(map[string]uint64, len(gs)+1)
	s.WouldDial = make(map[string]uint64, len(gs)+1)
	s.WouldStand = make(map[string]uint64, len(gs)+1)
	for _, m := range []map[string]uint64{s.WouldHave, s.WouldDial, s.WouldStand} {
		m[PerRequest] = 0
		for _, g := range gs {
			m[g.name] = 0
		}
	}
}

// haunt fills in what the ghosts have to say. The hosts of s are there already.
func (m *Meter) haunt(s *Snapshot, hosts map[string]*Host) {
	if len(s.Hosts) == 0 {
		return
	}
	now := hosts[s.Hosts[0].Name].now()
	curves := make([]WhatIf, curveSizes*len(s.Hosts))
	m.feed.settle(now, func(gs ghosts) {
		gs.name(s)
		for i := range s.Hosts {
			h := &s.Hosts[i]
			g := hosts[h.Name].ghost
			gs.name(&h.Snapshot)
			gs.read(g, &h.Snapshot, now)
			if h.Multiplexed = hosts[h.Name].multiplexed.Load(); !h.Multiplexed {
				h.Curve, curves = curves[:curveSizes:curveSizes], curves[curveSizes:]
				g.curve.read(h.Curve, !g.leavesNone)
			}
		}
	})
}

// read fills in the results for one host.
func (gs ghosts) read(h *hostGhost, s *Snapshot, now int64) {
	s.WouldHave[PerRequest] = h.perRequest
	s.WouldDial[PerRequest] = h.begun
	s.WouldStand[PerRequest] = h.recent.read(now)
	for i, g := range gs {
		p := &h.parts[i]
		s.WouldHave[g.name] = p.closed
		s.WouldDial[g.name] = p.dials
		if p.recent != nil {
			s.WouldStand[g.name] = p.recent.read(now)
		}
	}
}
