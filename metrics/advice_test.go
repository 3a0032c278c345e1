package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/linger"
)

// healthy is a host on a busy day, on which everything went wrong once.
func healthy() HostSnapshot {
	return HostSnapshot{
		Name: "example.com:443",
		Snapshot: Snapshot{
			Requests: 1_000_000, Leases: 1_000_009, Reused: 999_000, Dials: 1000, DialErrors: 9, Born: 991,
			Retries: 900, Waits: 5000, Timeouts: 900, Hurried: 9, TimeWaits: 9,
			Ended: map[linger.Ending]uint64{linger.PeerFirst: 700, linger.FinReset: 200, linger.LocalFirst: 9, linger.Lost: 9},
			Reasons: map[string]uint64{
				IdleTimeout: 600, ServerClose: 100, Stale: 50, Canceled: 90, Timeout: 40, Error: 40,
				BodyNotDrained: 90, MaxAge: 100, MaxIdle: 9, Closed: 1,
			},
			DialedBy: map[string]uint64{"all_busy": 700, IdleTimeout: 190, MaxIdle: 9},
		},
		KeepAlive: KeepAlive{Timeout: 5 * time.Second},
	}
}

func TestNoAdvice(t *testing.T) {
	for name, h := range map[string]HostSnapshot{"nothing happened": {}, "healthy": healthy()} {
		if said := h.Advice(); said != nil {
			t.Errorf("%s: %q", name, said)
		}
	}
	// A program that has just begun, with bad luck.
	h := HostSnapshot{Snapshot: Snapshot{
		Requests: 9, Leases: 9, Dials: 9, DialErrors: 4, Born: 5, Retries: 4, Timeouts: 4, TimeWaits: 5, Hurried: 5,
		Ended:    map[linger.Ending]uint64{linger.LocalFirst: 5},
		Reasons:  map[string]uint64{BodyNotDrained: 5, Canceled: 5},
		DialedBy: map[string]uint64{MaxIdle: 5},
	}}
	if said := h.Advice(); said != nil {
		t.Errorf("after nine requests: %q", said)
	}
}

func TestAdvice(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*HostSnapshot)
		want []string // in one sentence
	}{
		{"leak", func(h *HostSnapshot) {
			h.Leaks = 1
			h.LeakedAt = []LeakSite{{Site: "get.go:7 app.get", Leak: 1}}
		}, []string{"1 response body", "(get.go:7 app.get 1)"}},
		{"leaks at unknown sites", func(h *HostSnapshot) {
			h.Leaks = 3
			h.LeakedAt = []LeakSite{{Site: unknownSite, Leak: 3}}
		}, []string{"3 response bodies."}},
		{"leaks at many sites", func(h *HostSnapshot) {
			h.Leaks = 10
			h.LeakedAt = []LeakSite{{"a", 4, 0}, {"b", 3, 0}, {"c", 2, 9}, {"d", 1, 0}}
		}, []string{"(a 4, b 3, c 2)"}},
		{"held", func(h *HostSnapshot) {
			h.HeldBodies = 2
			h.LeakedAt = []LeakSite{{Site: "get.go:7 app.get", Held: 2}}
		}, []string{"2 response bodies open", "get.go:7"}},
		{"dials fail", func(h *HostSnapshot) { h.DialErrors = 100 }, []string{"100 of 1000 dials failed"}},
		{"waits", func(h *HostSnapshot) { h.Timeouts = 1000 }, []string{"1000 of 1000000 requests gave up", "MaxConnsPerHost"}},
		{"TIME_WAITs", func(h *HostSnapshot) { h.TimeWaits = 10 }, []string{"10 of 918", "TIME_WAIT", "idle_timeout 600"}},
		{"unmanaged", func(h *HostSnapshot) { h.Unmanaged = 100 }, []string{"100 of 991", "*net.TCPConn"}},
		{"hurried", func(h *HostSnapshot) { h.Hurried = 10 }, []string{"10 of 918 farewells"}},
		{"keep-alive said", func(h *HostSnapshot) { h.Retries = 1010 }, []string{"rested for 5s, as it says", "1010 requests"}},
		{"keep-alive learned", func(h *HostSnapshot) {
			h.Retries = 1010
			h.KeepAlive.Learned, h.KeepAlive.Timeout = true, 4992*time.Millisecond
		}, []string{"rested for 5s, as its closes show"}},
		{"closes at random", func(h *HostSnapshot) {
			h.Retries = 1010
			h.KeepAlive = KeepAlive{}
		}, []string{"closed 150 connections", "no rule", "1010 requests"}},
		{"broken", func(h *HostSnapshot) { h.Reasons[Error] = 60 }, []string{"100 of 991 connections", "9 had been reset or lost"}},
		{"cancelled", func(h *HostSnapshot) { h.Reasons[Canceled] = 100 }, []string{"100 of 991", "cancelled"}},
		{"not drained", func(h *HostSnapshot) { h.Reasons[BodyNotDrained] = 100 }, []string{"100 of 991", "before its end"}},
		{"too few resting", func(h *HostSnapshot) {
			h.DialedBy[MaxIdle] = 200
			h.Curve = []WhatIf{{MaxIdle: 0, Dials: 3000}, {MaxIdle: 4, Dials: 600}, {MaxIdle: 8, Dials: 450}, {MaxIdle: 9, Dials: 2}}
		}, []string{"200 of 1000 dials", "MaxIdlePerHost", "room for 8 it would have been about 450"}},
		{"too few resting, without a curve", func(h *HostSnapshot) { h.DialedBy[MaxIdle] = 200 }, []string{"A larger one"}},
		{"too short a rest", func(h *HostSnapshot) { h.DialedBy[IdleTimeout] = 200 }, []string{"200 of 1000 dials", "IdleTimeout", "server's own limit of 5s"}},
		{"a server of little patience", func(h *HostSnapshot) { h.DialedBy[ServerClose] = 200 }, []string{"200 of 1000 dials", "no longer than 5s"}},
		{"too few requests", func(h *HostSnapshot) {
			h.Requests, h.Leases = 5000, 5000
			h.Timeouts, h.Retries = 0, 0
			h.Reasons[MaxRequests] = 500
		}, []string{"600 of 991", "after 5.0 requests"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := healthy()
			tt.make(&h)
			said := h.Advice()
			if len(said) != 1 {
				t.Fatalf("%d pieces of advice, want one: %q", len(said), said)
			}
			for _, want := range tt.want {
				if !strings.Contains(said[0], want) {
					t.Errorf("%q does not say %q", said[0], want)
				}
			}
			t.Log(said[0])
		})
	}
}

// What is worst comes first, and a cause is named in place of its effect.
func TestAdviceOrder(t *testing.T) {
	h := healthy()
	h.Leaks, h.HeldBodies, h.DialErrors, h.Timeouts = 1, 1, 500, 5000
	said := h.Advice()
	if len(said) != 4 || !strings.Contains(said[0], "never closed") || !strings.Contains(said[1], "dials failed") ||
		!strings.Contains(said[2], "while dials failed") || !strings.Contains(said[3], "LongBody") {
		t.Errorf("%q", said)
	}
	h = healthy()
	h.Multiplexed = true
	h.Reasons[Canceled] = 500
	if said := h.Advice(); said != nil {
		t.Errorf("HTTP/2 need not close for a cancelled request: %q", said)
	}
}
