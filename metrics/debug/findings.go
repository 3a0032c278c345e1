package debug

import (
	"fmt"
	"slices"

	"github.com/lastack/lastack/dialer"
)

// findings is what to act on, the most urgent first.
func (v *view) findings() section {
	var all findings
	all = append(all, v.untrue()...)
	all = append(all, v.ofPool()...)
	all = append(all, v.ofMachine()...)
	slices.SortStableFunc(all, func(a, b finding) int { return int(b.tone) - int(a.tone) })
	s := section{id: "act", title: "To act on", wide: true}
	if len(all) == 0 {
		s.blocks = []block{verdict{good, "Nothing, as of the last " + v.span() + ": no TIME_WAITs made, no leaks, nobody waiting, no port short."}}
		if v.machine.err != nil {
			s.blocks = []block{verdict{calm, "Nothing that is known of. The machine could not be examined: " + v.machine.err.Error()}}
		}
		return s
	}
	s.blocks = []block{all}
	return s
}

// untrue are reasons not to believe the rest.
func (v *view) untrue() []finding {
	var all []finding
	if k := v.source.kernel.says; k.Checked && !k.Agrees {
		all = append(all, finding{urgent, "The kernel contradicts the accounts: " + k.Why, []string{
			"Do not rely on the receipt. Keep the JSON form of this page and report it as a defect.",
		}, "receipt"})
	}
	if err := v.source.snapshot.Balance(); err != nil {
		all = append(all, finding{urgent, "The accounts do not balance: " + err.Error(), []string{
			"This is a defect of the program that records. Keep the JSON form of this page and report it.",
		}, ""})
	}
	return all
}

func (v *view) ofPool() []finding {
	var all []finding
	s := v.source.snapshot
	span := "in the last " + v.span()
	if n := v.grown(func(k sample) uint64 { return k.timeWaits }); n > 0 {
		all = append(all, finding{notice, fmt.Sprintf("%s left %s", plural(n, "TIME_WAIT was", "TIME_WAITs were"), span), []string{
			"See which host's connections end as local_first: there this side closed first and nothing else was safe.",
			"The usual causes: CloseWrite called by the program, Policy.Fallback set to Plain, another system than Linux, a server that never answers a goodbye.",
		}, "hosts"})
	}
	if n := v.grown(func(k sample) uint64 { return k.timeouts }); n > 0 {
		all = append(all, finding{urgent, fmt.Sprintf("%s gave up waiting for a connection %s", plural(n, "request", "requests"), span), []string{
			"Compare the connections in use with MaxConnsPerHost: raise it, or make the server faster.",
			"Look for bodies that are held open: each keeps a connection from the others.",
		}, "hosts"})
	} else if s.Waiting > 0 {
		all = append(all, finding{notice, plural(s.Waiting, "request waits", "requests wait") + " for a connection", []string{
			"A few for a moment are well. If they stay, raise MaxConnsPerHost, or find out why requests take long.",
		}, "hosts"})
	}
	if n := v.grown(func(k sample) uint64 { return k.dialErrors }); n > 0 {
		dials := v.grown(func(k sample) uint64 { return k.dials })
		all = append(all, finding{notice, fmt.Sprintf("%s of %s failed %s", count(n), plural(dials, "dial", "dials"), span), []string{
			"The errors are with the requests: refused, timed out, or out of ports. The last says so: dialer.ErrPortsExhausted.",
		}, "hosts"})
	}
	if s.Leaks > 0 {
		worst := ""
		if len(s.LeakedAt) > 0 {
			worst = ", most at " + s.LeakedAt[0].Site
		}
		all = append(all, finding{notice, plural(s.Leaks, "response body was", "response bodies were") + " forgotten since the beginning" + worst, []string{
			"Close the body of every response, also on the paths that return early: defer resp.Body.Close(). The pool has closed these.",
		}, "leaks"})
	}
	if s.HeldBodies > 0 {
		all = append(all, finding{notice, plural(s.HeldBodies, "response body was", "response bodies were") + " open for too long since the beginning", []string{
			"Read the body before doing something slow with it, or the connection serves nobody else meanwhile.",
		}, "leaks"})
	}
	var advised []string
	for _, h := range s.Hosts {
		if len(h.Advice()) > 0 {
			advised = append(advised, h.Name)
		}
	}
	if len(advised) > 0 {
		f := finding{notice, "There is advice about " + advised[0], nil, "hosts"}
		if n := len(advised) - 1; n > 0 {
			f.matter += " and " + plural(n, "other host", "other hosts")
		}
		all = append(all, f)
	}
	return all
}

// ofMachine is what the doctor says.
func (v *view) ofMachine() []finding {
	var all []finding
	for _, a := range v.machine.report.Advice {
		f := finding{notice, a.Matter, nil, "machine"}
		if a.Urgent {
			f.tone = urgent
		}
		for _, r := range a.Remedies {
			f.do = append(f.do, r.Do+" Gain: "+r.Gain+".")
		}
		all = append(all, f)
	}
	if d, ok := v.tightest(); ok && !v.advised(d) {
		if used := v.used(d); used >= shortOfPorts {
			all = append(all, finding{notice, fmt.Sprintf("%s of the ports to %v are taken", part(used), d.Address), []string{
				"Find out who dials there so often, or give the destination more addresses.",
			}, "machine"})
		}
	}
	return all
}

// shortOfPorts is the share of a destination's ports from which on somebody
// should look.
const shortOfPorts = 0.7

// advised reports whether the doctor has said something of d already.
func (v *view) advised(d dialer.Destination) bool {
	return slices.ContainsFunc(v.machine.report.Advice, func(a dialer.Advice) bool { return a.Destination == d.Address })
}
