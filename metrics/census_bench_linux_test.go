package metrics_test

import (
	"flag"
	"net"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/cputime"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// BenchmarkCensus counts 20,000 sockets, nearly all of them TIME_WAITs, half of
// which are the Meter's. It does not count them: the goroutine that does is in
// another namespace.
func BenchmarkCensus(b *testing.B) {
	sockets := 20_000
	if flag.Lookup("test.benchtime").Value.String() == "1x" {
		sockets = 1000
	}
	for name, count := range map[string]func(*metrics.Meter) (int, error){
		"all": func(*metrics.Meter) (int, error) {
			s, err := metrics.Census(b.Context())
			return s.ByState["time_wait"], err
		},
		"ours": func(m *metrics.Meter) (int, error) {
			s, err := m.Census(b.Context())
			return 2 * s.Ours["time_wait"], err
		},
	} {
		b.Run(name, func(b *testing.B) {
			lab := netlab.Thread(b, netlab.PortRange(20000, 60999))
			to := echo(b)
			m := new(metrics.Meter)
			d := plain(m)
			closeFirst(b, sockets/2, d.DialContext, to)
			closeFirst(b, sockets/2, new(net.Dialer).DialContext, to)
			netlab.Eventually(b, 20*time.Second, "the TIME_WAITs", func() bool {
				n, _ := lab.TimeWaits(b, to)
				return n == sockets && m.Snapshot().Leaving == 0
			})
			used := cputime.Used()
			for b.Loop() {
				if n, err := count(m); err != nil || n != sockets {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric((cputime.Used()-used).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}
