package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/cputime"
)

// thousandHosts has been used a little by each.
func thousandHosts() *Meter {
	m := new(Meter)
	for i := range maxHosts {
		h := m.Host(fmt.Sprintf("host%d.example.com:443", i))
		h.Request()
		h.Wait()
		why := h.DialStart(AllBusy)
		h.DialDone(Dial{Reason: why, DNS: time.Millisecond, TCP: time.Millisecond, TLS: time.Millisecond, Total: 3 * time.Millisecond})
		h.Waited(3*time.Millisecond, false, nil)
		c := h.Born(true)
		c.SetDialed(why)
		at := time.Now()
		h.Lease(at, false)
		c.Leased(at)
		h.Return(at.Add(time.Millisecond), at)
		h.Done()
		c.Leave(IdleTimeout)
		c.Ended(0, false)
	}
	return m
}

func BenchmarkSnapshot1000Hosts(b *testing.B) {
	m := thousandHosts()
	b.ReportAllocs()
	used := cputime.Used()
	for b.Loop() {
		m.Snapshot()
	}
	b.ReportMetric((cputime.Used()-used).Seconds()*1000/float64(b.N), "cpu-ms/op")
}

func BenchmarkSnapshotJSON1000Hosts(b *testing.B) {
	m := thousandHosts()
	for b.Loop() {
		json.NewEncoder(io.Discard).Encode(m.Snapshot())
	}
}

// The ledger of one request, with what the pool tells and the times that it has
// anyway: the host is multiplexed, so no ghost is fed.
func BenchmarkLedgerOfRequest(b *testing.B) {
	var m Meter
	h := m.Host("h:443")
	h.Multiplexed()
	c := h.Born(true)
	leased, now := time.Now(), time.Now()
	b.ReportAllocs()
	used := cputime.Used()
	for b.Loop() {
		h.Lease(leased, true)
		c.Leased(leased)
		h.Return(now, leased)
	}
	b.ReportMetric(float64(cputime.Used()-used)/float64(b.N), "cpu-ns/op")
}
