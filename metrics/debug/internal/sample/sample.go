// Package sample makes up accounts, to see and to test the page with: what it
// shows depends on the time alone.
package sample

import (
	"context"
	"math"
	"net/netip"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug/internal/past"
)

// Accounts are of a service that has been running for 20 minutes when they are
// made. They may be used by several goroutines.
type Accounts struct {
	start   time.Time
	trouble bool
	names   []string
}

// age is how long the service has been running when its Accounts are made.
const age = 20 * time.Minute

// Calm returns the accounts of a service that is well.
func Calm() *Accounts {
	return &Accounts{
		start: time.Now().Add(-age),
		names: []string{"api.internal:443", "auth.internal:8443", "ledger.internal:80"},
	}
}

// Trouble returns those of one that is not.
func Trouble() *Accounts {
	a := Calm()
	a.trouble = true
	return a
}

// Hostile returns accounts in which names are what an attacker would make them.
func Hostile(name string) *Accounts {
	a := Trouble()
	a.names = []string{name + ":443", "a" + name, name}
	return a
}

// Snapshot returns the accounts as they are now.
func (a *Accounts) Snapshot() metrics.Snapshot { return a.at(time.Now()) }

// Past returns the accounts of the last quarter of an hour.
func (a *Accounts) Past() []past.Moment {
	var list []past.Moment
	for t := a.start.Add(age - 15*time.Minute); t.Before(a.start.Add(age)); t = t.Add(5 * time.Second) {
		list = append(list, past.Moment{At: t, Snapshot: a.at(t)})
	}
	return list
}

// Reconcile says what a kernel would.
func (a *Accounts) Reconcile(context.Context) (metrics.Reconciliation, error) {
	s := a.Snapshot()
	r := metrics.Reconciliation{
		Checked: true, Agrees: true, Counts: true, At: time.Now(),
		Created: s.TimeWaits + 1201, Ours: int(s.Standing), Others: 118,
	}
	if a.trouble {
		r.Agrees = false
		r.Why = "the kernel has created 1,190 TIME_WAITs and we count " + a.names[0] + " 1,204"
		r.Created = 1190
	}
	return r, nil
}

// Census says what a kernel would.
func (a *Accounts) Census(context.Context) (metrics.Sockets, error) {
	h := metrics.Histogram{Count: 121}
	for bound := 4.0; bound <= 60; bound += 4 {
		h.Bounds = append(h.Bounds, bound)
		h.Counts = append(h.Counts, uint64(8+6*math.Sin(bound/9)))
	}
	h.Counts = append(h.Counts, 0)
	s := a.Snapshot()
	return metrics.Sockets{
		ByState: map[string]int{"established": 412, "time_wait": 121}, Remaining: h,
		Ours: map[string]int{"established": int(s.Busy + s.Resting), "time_wait": int(s.Standing)},
	}, nil
}

// wave is a load that rises and falls: its rate at a time, and its sum up to
// that.
func wave(t, mean, swing, period float64) (rate, sum float64) {
	w := 2 * math.Pi / period
	return mean + swing*math.Sin(w*t), mean*t + swing/w*(1-math.Cos(w*t))
}

// at makes the accounts of one moment.
func (a *Accounts) at(now time.Time) metrics.Snapshot {
	t := now.Sub(a.start).Seconds()
	total := metrics.Snapshot{
		Ended: map[linger.Ending]uint64{}, Reasons: map[string]uint64{}, DialedBy: map[string]uint64{},
		WouldHave: map[string]uint64{}, WouldDial: map[string]uint64{}, WouldStand: map[string]uint64{},
	}
	for i, name := range a.names {
		h := a.host(i, name, t)
		addTo(&total, h.Snapshot)
		total.Hosts = append(total.Hosts, h)
	}
	if a.trouble {
		total.Leaks, total.HeldBodies = 9, 3
		total.LeakedAt = []metrics.LeakSite{
			{Site: "billing.go:142 (*Client)." + a.names[0], Leak: 7},
			{Site: "main.go:42 fetchUser", Leak: 2, Held: 3},
		}
	}
	return total
}

// host makes the accounts of one host: the second is multiplexed, the third
// dials more than it should.
func (a *Accounts) host(i int, name string, t float64) metrics.HostSnapshot {
	share := []float64{1, 0.4, 0.1}[i]
	rate, sum := wave(t, 420*share, 260*share, 240)
	requests := uint64(sum)
	dials := uint64(12 + t*0.02 + []float64{0, 0, t * 0.9}[i])
	busy := int64(rate * 0.02)
	resting := int64(8) - busy/3 + int64(4*share)
	s := metrics.Snapshot{
		Requests: requests, Leases: requests, Reused: requests - dials, Dials: dials,
		Active: busy, Busy: busy, Resting: max(resting, 1), Waits: requests / 900,
		Ended: map[linger.Ending]uint64{}, Reasons: map[string]uint64{}, DialedBy: map[string]uint64{},
		WouldHave: map[string]uint64{}, WouldDial: map[string]uint64{}, WouldStand: map[string]uint64{},
	}
	s.DialedBy["cold"], s.DialedBy["all_busy"] = 4, dials/2
	s.DialedBy["stale"] = dials - 4 - dials/2
	gone := uint64(max(int64(dials)-s.Busy-s.Resting, 0))
	s.Born = gone + uint64(s.Busy+s.Resting)
	s.Ended[linger.PeerFirst], s.Ended[linger.FinReset] = gone/3*2, gone-gone/3*2
	s.Reasons["idle_timeout"], s.Reasons["server_close"] = gone-gone/3*2, gone/3*2
	s.DialTime = times(dials, 0.0021+0.0012*math.Sin(t/30))
	s.WaitTime = times(s.Waits, 0.0009)
	h := metrics.HostSnapshot{Name: name, Multiplexed: i == 1}
	if i != 1 {
		minute, before := share*rate*20, 1-math.Exp(-t/30)
		s.WouldHave[metrics.PerRequest], s.WouldDial[metrics.PerRequest] = requests, requests
		s.WouldStand[metrics.PerRequest] = uint64(rate * 60 * before)
		for model, part := range map[string]float64{metrics.NetHTTPDefault: 0.31, "before (10 idle)": 0.04} {
			s.WouldHave[model], s.WouldDial[model] = uint64(sum*part), uint64(sum*part)+2
			s.WouldStand[model] = uint64(minute * part * 3 * before)
		}
		h.Curve = curve(sum)
	}
	h.KeepAlive = []metrics.KeepAlive{{Timeout: 75 * time.Second}, {}, {Timeout: 5 * time.Second, Learned: true}}[i]
	if a.trouble {
		a.spoil(i, t, &s)
	}
	h.Snapshot = s
	return h
}

// spoil makes things bad for the last host, and somewhat for the first.
func (a *Accounts) spoil(i int, t float64, s *metrics.Snapshot) {
	switch i {
	case 0:
		s.Waiting, s.Timeouts, s.DialErrors = 17, uint64(t/20), uint64(t/60)
	case 2:
		bad := min(uint64(t), s.Ended[linger.FinReset])
		s.Ended[linger.FinReset] -= bad
		s.Ended[linger.LocalFirst] = bad
		s.Ended[linger.Lost] = 0
		s.TimeWaits, s.Standing = bad, min(bad, 21)
	}
}

// times is a histogram of n times about a typical one.
func times(n uint64, typical float64) metrics.Histogram {
	h := metrics.Histogram{Count: n, Sum: float64(n) * typical}
	for b := 0.0001; b < 20; b *= 1.5 {
		h.Bounds = append(h.Bounds, b)
	}
	h.Counts = make([]uint64, len(h.Bounds)+1)
	for i, b := range h.Bounds {
		if b >= typical {
			h.Counts[i] += n - n/50
			h.Counts[min(i+5, len(h.Bounds))] += n / 50
			break
		}
	}
	return h
}

func curve(requests float64) []metrics.WhatIf {
	var list []metrics.WhatIf
	for k := range 64 {
		dials := uint64(requests*math.Exp(-float64(k)/2.2)) + 24
		list = append(list, metrics.WhatIf{MaxIdle: k, Dials: dials, TimeWaits: dials - min(dials, uint64(k))})
	}
	return list
}

func addTo(total *metrics.Snapshot, h metrics.Snapshot) {
	total.Requests += h.Requests
	total.Leases += h.Leases
	total.Reused += h.Reused
	total.Dials += h.Dials
	total.DialErrors += h.DialErrors
	total.Waits += h.Waits
	total.Waiting += h.Waiting
	total.Timeouts += h.Timeouts
	total.Born += h.Born
	total.Active += h.Active
	total.Busy += h.Busy
	total.Resting += h.Resting
	total.TimeWaits += h.TimeWaits
	total.Standing += h.Standing
	for e, n := range h.Ended {
		total.Ended[e] += n
	}
	for _, m := range []struct{ to, from map[string]uint64 }{
		{total.Reasons, h.Reasons}, {total.DialedBy, h.DialedBy}, {total.WouldHave, h.WouldHave},
		{total.WouldDial, h.WouldDial}, {total.WouldStand, h.WouldStand},
	} {
		for k, n := range m.from {
			m.to[k] += n
		}
	}
	sum(&total.DialTime, h.DialTime)
	sum(&total.WaitTime, h.WaitTime)
}

func sum(to *metrics.Histogram, from metrics.Histogram) {
	if to.Counts == nil {
		to.Bounds, to.Counts = from.Bounds, make([]uint64, len(from.Counts))
	}
	for i, n := range from.Counts {
		to.Counts[i] += n
	}
	to.Count += from.Count
	to.Sum += from.Sum
}

// Lives returns some connections' lives.
func (a *Accounts) Lives() []metrics.Life {
	now := time.Now()
	var list []metrics.Life
	for i := range 40 {
		host := i % len(a.names)
		born := now.Add(-time.Duration(i*23+7) * time.Second)
		l := metrics.Life{
			Host: a.names[host], Born: born, Dialed: []string{"cold", "all_busy", "stale"}[host],
			Local:  netip.AddrPortFrom(netip.MustParseAddr("10.0.0.7"), uint16(40000+i*37)),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 3, byte(9 + host)}), 443),
		}
		end := now
		if i%3 != 0 || i > 20 {
			end = born.Add(time.Duration(30+i*11%170) * time.Second)
			if end.Before(now) {
				l.Left, l.Gone = end, end.Add(20*time.Millisecond)
				l.Reason, l.Ending = "server_close", linger.PeerFirst
				if i%4 == 1 {
					l.Reason, l.Ending = "idle_timeout", linger.FinReset
				}
				if a.trouble && host == 2 {
					l.Reason, l.Ending = "closed", linger.LocalFirst
				}
			}
		}
		for at, k := born, 0; at.Before(end) && at.Before(now); k++ {
			took := time.Duration(20+k*i%90*30) * time.Millisecond
			l.Uses = append(l.Uses, metrics.Use{From: at, For: took})
			at = at.Add(took + time.Duration(1+(k*7+i)%13)*time.Second)
			l.Requests++
		}
		list = append(list, l)
	}
	return list
}
