package debug

import (
	"maps"
	"slices"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// reasonHelp says what the reasons mean for which connections leave. What is
// dialled in the place of one that has left has the same reason.
var reasonHelp = map[string]string{
	metrics.IdleTimeout:    "It rested for longer than IdleTimeout, or than its server allows.",
	metrics.MaxAge:         "It had lived for MaxAge.",
	metrics.MaxRequests:    "It had carried MaxRequests.",
	metrics.MaxIdle:        "As many were resting as MaxIdlePerHost allows.",
	metrics.Excess:         "More were kept than had been needed for a while.",
	metrics.ServerClose:    "The server closed it, or said that it would.",
	metrics.GoAway:         "The server sent GOAWAY: it takes no more requests on it.",
	metrics.CloseIdle:      "The program called CloseIdleConnections or CloseIdleHost.",
	metrics.Shutdown:       "The pool was shut down.",
	metrics.Canceled:       "The program gave up its request: a cancelled context, or a timeout of its own. HTTP/1.1 can stop a request no other way.",
	metrics.Timeout:        "Its request, or a ping, was not answered in time.",
	metrics.BodyNotDrained: "The program closed a response long before its end.",
	metrics.Leak:           "The program forgot a response, which was too long to be read to its end.",
	metrics.Error:          "It failed.",
	metrics.Stale:          "It was found closed when a request was to have it.",
	metrics.Upgraded:       "It speaks another protocol now, such as WebSocket.",
	metrics.Closed:         "Nobody said why.",
	metrics.Cold:           "Only dials: there had been no connection to the host yet.",
	metrics.AllBusy:        "Only dials: all connections that there were had requests.",
	metrics.Warm:           "Only dials: Warm asked for it, ahead of requests.",
	metrics.Spare:          "Only dials: the pool keeps some ahead of requests.",
	metrics.Asked:          "Only dials: a program without a pool asked for it.",
}

// A glossary collects the words that a section uses.
type glossary struct {
	reasons map[string]bool
	endings map[linger.Ending]bool
}

func newGlossary() *glossary {
	return &glossary{make(map[string]bool), make(map[linger.Ending]bool)}
}

// terms explains the words, in the order of the alphabet.
func (g *glossary) terms() []term {
	means := make(map[string]string)
	for r := range g.reasons {
		means[r] = reasonHelp[r]
	}
	for e := range g.endings {
		means[e.String()] = endingLooks[e].help
	}
	var terms []term
	for _, name := range slices.Sorted(maps.Keys(means)) {
		if means[name] != "" { // a reason of the program's own has none
			terms = append(terms, term{name, means[name]})
		}
	}
	return terms
}
