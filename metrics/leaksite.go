package metrics

import (
	"cmp"
	"slices"
)

const (
	// maxSites bounds the sites that one host counts apart, and those that a
	// Snapshot has in all. The others are counted as overflowName.
	maxSites = 50

	// unknownSite takes the bodies of which nobody knows who asked for them.
	unknownSite = "_unknown"
)

// Leak counts a response body that its program has forgotten to close, and was
// asked for at site: "file.go:line function", or "" if that is not known. The
// connection would have been lost to any other pool, so the ghosts do not get
// it back: Leak comes before the request's [Host.Return].
func (h *Host) Leak(site string) {
	h.countSite(LeakSite{Site: site, Leak: 1})
	h.leaks.Add(1)
	h.tell(h.now(), spoiled)
}

// Held counts a response body that has been open for longer than it should. Site
// is as for [Host.Leak].
func (h *Host) Held(site string) {
	h.countSite(LeakSite{Site: site, Held: 1})
	h.held.Add(1)
}

func (h *Host) countSite(l LeakSite) {
	h.mu.Lock()
	h.sites.add(l)
	h.mu.Unlock()
}

// leakSites count bodies by where they were asked for.
type leakSites map[string]LeakSite

// add adds what l counts to its site.
func (s *leakSites) add(l LeakSite) {
	if *s == nil {
		*s = make(leakSites)
	}
	l.Site = cmp.Or(l.Site, unknownSite)
	have, ok := (*s)[l.Site]
	if !ok && len(*s) >= maxSites {
		l.Site = overflowName
		have = (*s)[overflowName]
	}
	l.Leak += have.Leak
	l.Held += have.Held
	(*s)[l.Site] = l
}

// list returns the sites, the worst first.
func (s leakSites) list() []LeakSite {
	var list []LeakSite
	for _, l := range s {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b LeakSite) int {
		return cmp.Or(-cmp.Compare(a.Leak, b.Leak), -cmp.Compare(a.Held, b.Held), cmp.Compare(a.Site, b.Site))
	})
	return list
}

// addSites returns the sites of both lists.
func addSites(a, b []LeakSite) []LeakSite {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return slices.Clone(b)
	}
	var s leakSites
	for _, l := range a {
		s.add(l)
	}
	for _, l := range b {
		s.add(l)
	}
	return s.list()
}
