package dialer

import (
	"fmt"
	"slices"
)

// nearlyFull reports whether nine tenths are taken. See Report.RunningOut.
func nearlyFull(n, limit int64) bool { return limit > 0 && n >= limit-limit/10 }

// adviseHolders is about processes that do not close what they should, or can
// open no more.
func (d *diagnosis) adviseHolders() {
	for _, h := range d.Holders {
		if nearlyFull(int64(h.Descriptors), int64(h.Limit)) {
			d.Advice = append(d.Advice, Advice{
				Code: AdviceDescriptors, Urgent: true, PID: h.PID,
				Matter: fmt.Sprintf("%s has %s of %s descriptors open.", h.who(), comma(h.Descriptors), comma(h.Limit)),
				Remedies: []Remedy{{
					Do:   "Find out what it keeps open (CLOSE_WAIT is a leak); if it needs that many, raise its limit (LimitNOFILE of its service, ulimit -n).",
					Gain: "it can go on connecting and accepting",
				}},
			})
		}
	}
	for _, h := range d.Holders {
		if h.Stale > 0 {
			d.Advice = append(d.Advice, h.leak())
		}
	}
}

// leak is the advice about connections that their peer closed long ago.
func (h Holder) leak() Advice {
	a := Advice{
		Code: AdviceCloseWait, PID: h.PID,
		Matter: fmt.Sprintf("%s holds %s%s that the peer has closed (CLOSE_WAIT), %s of them for five seconds or more, one for %.0f s: a leak in that program.",
			h.who(), h.about(), connections(h.CloseWaits), comma(h.Stale), h.OldestSeconds),
	}
	gain := func(n int) string { return h.about() + connections(n) + ", and as many descriptors" }
	read := h.CloseWaits - h.EndUnread
	if h.EndUnread > 0 {
		a.Remedies = append(a.Remedies, Remedy{
			fmt.Sprintf("It has not read to the end of %s of them: they lie in a pool that does not watch them, or wait for a goroutine or thread that does not come. Watch resting connections (package pool does), and look for what its threads wait for.", comma(h.EndUnread)),
			gain(h.EndUnread),
		})
	}
	if read > 0 {
		a.Remedies = append(a.Remedies, Remedy{
			fmt.Sprintf("It has read the end of %s of them and not closed them: look for a missing Close, often on an error's path or of a response's body.", comma(read)),
			gain(read),
		})
	}
	if read > h.EndUnread {
		slices.Reverse(a.Remedies)
	}
	return a
}

func (h Holder) who() string {
	if h.PID == 0 {
		return fmt.Sprintf("A process of user %d, which this one may not look at,", h.UID)
	}
	return fmt.Sprintf("Process %d (%s)", h.PID, printable(h.Name))
}

func (h Holder) about() string {
	if h.Sampled {
		return "about "
	}
	return ""
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return comma(n) + " connections"
}

// adviseTables is about the kernel's tables.
func (d *diagnosis) adviseTables() {
	s := &d.system
	if n, limit := s.values[conntrackCount], s.values[conntrackMax]; nearlyFull(n, limit) {
		a := Advice{
			Code: AdviceConntrack, Urgent: true,
			Matter: fmt.Sprintf("The firewall keeps track of %s connections and can of %s: above that it drops the packets of new ones.", comma(int(n)), comma(int(limit))),
			Remedies: []Remedy{
				{"Keep connections and use them again (package pool).", fmt.Sprintf("an entry for %d s for each connection that need not be made", s.values[conntrackTimeWait])},
				{"Raise " + conntrackMax + ".", "as many entries, for some 300 bytes of memory each"},
			},
		}
		if own := int64(timeWaitLen.Seconds()); s.values[conntrackTimeWait] > own {
			a.Remedies = append(a.Remedies, Remedy{
				fmt.Sprintf("Lower %s to %d, the kernel's own time for TIME_WAIT; not further.", conntrackTimeWait, own),
				fmt.Sprintf("the entries of closed connections %d s earlier", s.values[conntrackTimeWait]-own),
			})
		}
		d.Advice = append(d.Advice, a)
	}
	if nearlyFull(s.handles, s.maxHandles) {
		d.Advice = append(d.Advice, Advice{
			Code: AdviceFileHandles, Urgent: true,
			Matter:   fmt.Sprintf("The processes of this machine have %s files open of %s that they may have together.", comma(int(s.handles)), comma(int(s.maxHandles))),
			Remedies: []Remedy{{"Raise fs.file-max, once it is clear who opens so many.", "processes can go on opening files and connections"}},
		})
	}
	waits, limit := int64(d.Sockets["time_wait"]), s.values[maxBuckets]
	overflows := s.counters["TcpExtTCPTimeWaitOverflow"]
	full := nearlyFull(waits, limit)
	if !full && overflows == 0 {
		return
	}
	matter := fmt.Sprintf("The kernel keeps %s TIME_WAITs, and no more than %s (%s).", comma(int(waits)), comma(int(limit)), maxBuckets)
	if overflows > 0 {
		matter += fmt.Sprintf(" %s connections have ended without that protection since this namespace was made.", comma(int(overflows)))
	}
	d.Advice = append(d.Advice, Advice{
		Code: AdviceTimeWaitLimit, Urgent: full, Matter: matter,
		Remedies: []Remedy{
			{"Keep connections and use them again, and let the other side close first (package pool; for a server package linger).", "no TIME_WAIT to keep"},
			{"Raise " + maxBuckets + ".", "late segments of an old connection cannot disturb a new one; some 256 bytes of memory each"},
		},
	})
}

// adviseSwitches is about settings that are wrong.
func (d *diagnosis) adviseSwitches() {
	s := &d.system
	if s.values[twRecycle] != 0 {
		d.Advice = append(d.Advice, Advice{
			Code:     AdviceRecycle,
			Matter:   twRecycle + " is on: connections of clients behind a NAT fail at random.",
			Remedies: []Remedy{{"Set " + twRecycle + "=0. It has not existed since Linux 4.12.", "those connections"}},
		})
	}
	if v, ok := s.values[timestamps]; ok && v == 0 {
		d.Advice = append(d.Advice, Advice{
			Code:     AdviceTimestamps,
			Matter:   timestamps + " is off.",
			Remedies: []Remedy{{"Set " + timestamps + "=1, which is Linux's default.", "ports in TIME_WAIT can be lent again safely (" + twReuse + "), round trips are measured better, and fast connections are protected against wrapped sequence numbers"}},
		})
	}
}
