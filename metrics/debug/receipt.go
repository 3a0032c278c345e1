package debug

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

const netHTTP = metrics.NetHTTPDefault

// models describes the ghosts that every Meter has.
var models = map[string]struct{ name, claim string }{
	netHTTP: {"net/http's defaults", "At least. Two idle connections per host, 100 in all, 90 s. In tests within 2 % of the real http.DefaultTransport " +
		"half of the time and within 11 % always; where the machine is saturated it claims up to a third too little."},
	metrics.PerRequest: {"a connection per request", "An upper bound: every request opens a connection, and this side closes it."},
}

// modelsOf returns the models of a Snapshot: first net/http's, then the
// user's, last the upper bound.
func modelsOf(s metrics.Snapshot) []string {
	place := func(m string) int {
		switch m {
		case netHTTP:
			return 0
		case metrics.PerRequest:
			return 2
		}
		return 1
	}
	return slices.SortedFunc(maps.Keys(s.WouldHave), func(a, b string) int {
		if p, q := place(a), place(b); p != q {
			return p - q
		}
		if a < b {
			return -1
		}
		return 1
	})
}

func modelName(m string) string {
	if known, ok := models[m]; ok {
		return known.name
	}
	return m
}

// receipt says what was done, what would have been, and what the kernel says
// of it.
func (v *view) receipt() section {
	s := v.source.snapshot
	t := &table{caption: "What these connections left behind, and what others would have", class: "receipt", columns: []column{
		{"", "", false},
		{"TIME_WAITs left", "Since the beginning, on this machine. A TIME_WAIT holds its port for 60 s.", true},
		{"standing now", "Of the last 60 s: those that hold a port now.", true},
		{"dialled", "Connections that were opened, each with its handshakes.", true},
	}}
	tone := good
	if s.TimeWaits > 0 {
		tone = notice
	}
	t.rows = append(t.rows, row{tone: tone, cells: []cell{
		cellOf("this pool", "Did, as the kernel says."), cellOf(count(s.TimeWaits)), cellOf(count(s.Standing)), cellOf(count(s.Dials)),
	}})
	for _, m := range modelsOf(s) {
		bound, claim := "≥ ", "At least. A pool with settings that the program has named."
		if known, ok := models[m]; ok {
			claim = known.claim
		}
		if m == metrics.PerRequest {
			bound = "≤ "
		}
		t.rows = append(t.rows, row{cells: []cell{
			cellOf(modelName(m), claim), cellOf(bound + count(s.WouldHave[m])),
			cellOf(bound + count(s.WouldStand[m])), cellOf(bound + count(s.WouldDial[m])),
		}})
	}
	blocks := []block{t, v.reconciled()}
	if s.Requests == 0 && s.Born == 0 {
		blocks = []block{note("No request yet, so there is nothing to account for. The numbers come with the first one."), t, v.reconciled()}
	}
	return section{
		id: "receipt", title: "TIME_WAIT sockets: did, and would have", wide: true, blocks: blocks,
		about: "The side that closes a TCP connection first keeps a TIME_WAIT socket for a minute, and with it a port to that destination. " +
			"“Would have” is worked out by ghost pools: simulations that are given the real requests, as they begin and end, and hold no connections. " +
			"They claim nothing for HTTP/2 and gRPC, which any client multiplexes.",
	}
}

// reconciled says whether the kernel agrees.
func (v *view) reconciled() block {
	k, err := v.source.kernel.says, v.source.kernel.err
	asked := "" // these accounts are not the page's to ask for, so it may be long ago
	if ago := v.at.Sub(k.At); ago > time.Minute {
		asked = " It was asked " + lasting(ago) + " ago."
	}
	switch {
	case !v.source.kernel.can:
		return verdict{calm, "Kernel check: not available for these accounts. Give the Meter itself as the Source for it."}
	case errors.Is(err, errors.ErrUnsupported) || err == nil && !k.Checked:
		return verdict{calm, "Kernel check: not available on this system. The count is as careful as it can be there."}
	case err != nil:
		return verdict{notice, "Kernel check: it could not be asked: " + err.Error()}
	case !k.Agrees:
		return verdict{urgent, "Kernel check: it does NOT agree: " + k.Why + ". Do not rely on the numbers above." + asked}
	}
	made := "made " + count(k.Created) + " in this network namespace"
	if !k.Counts {
		made += " (this kernel counts them when they end)"
	}
	return verdict{good, "Kernel check: agrees. It has " + made + "; standing: " + count(k.Ours) +
		" ours, " + count(k.Others) + " others'." + asked}
}
