package metrics

import "slices"

// Gaps are the connections that have left a host and that no dial has replaced
// yet, by the reason for which they left: the next dial is for the last of
// them. A dial that comes before the connection that it is to replace has left
// is ahead of its gap.
//
// It is guarded by the mu of the Host.
type gaps struct {
	runs  []gap // the last at the end
	ahead map[string]int
}

// A gap is some connections in a row that have left for one reason.
type gap struct {
	reason string
	n      int
}

// maxRuns bounds what is remembered. The first gaps are forgotten first: what is
// dialled for them counts as dialled because all others were busy.
const maxRuns = 32

// left notes that a connection has left.
func (g *gaps) left(reason string) {
	if n := g.ahead[reason]; n > 0 {
		g.ahead[reason] = n - 1
		return
	}
	if last := len(g.runs) - 1; last >= 0 && g.runs[last].reason == reason {
		g.runs[last].n++
		return
	}
	if len(g.runs) == maxRuns {
		g.runs = slices.Delete(g.runs, 0, 1)
	}
	g.runs = append(g.runs, gap{reason, 1})
}

// correct notes that a connection that had left for no known reason has left for
// this one.
func (g *gaps) correct(from, to string) {
	for i, run := range slices.Backward(g.runs) {
		if run.reason == from {
			g.close(i)
			g.left(to)
			return
		}
	}
}

// fill closes the last gap and returns its reason, or false if there is none.
func (g *gaps) fill() (reason string, ok bool) {
	last := len(g.runs) - 1
	if last < 0 {
		return "", false
	}
	reason = g.runs[last].reason
	g.close(last)
	return reason, true
}

// close closes one gap of the run.
func (g *gaps) close(i int) {
	if g.runs[i].n--; g.runs[i].n == 0 {
		g.runs = slices.Delete(g.runs, i, i+1)
	}
}

// why returns why there is a dial that is said to be for the reason, and takes
// it into account.
func (g *gaps) why(reason string, first bool) string {
	switch reason {
	case Asked, Cold:
		return reason
	case Warm:
		g.fill()
		return Warm
	case AllBusy, Spare:
		if gone, ok := g.fill(); ok {
			return gone
		}
		if first {
			return Cold
		}
		return reason
	}
	if g.ahead == nil {
		g.ahead = make(map[string]int)
	}
	if len(g.ahead) < maxReasons || g.ahead[reason] > 0 {
		g.ahead[reason]++
	}
	return reason
}

// failed takes back a dial that has failed: what it was for is still missing.
func (g *gaps) failed(why string) {
	switch why {
	case Asked, Cold, Warm, AllBusy, Spare, "":
	default:
		g.left(why) // also where it was ahead
	}
}
