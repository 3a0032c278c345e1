package linger_test

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/lastack/lastack/internal/cputime"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// BenchmarkListener has wrk load net/http's server for a second behind a bare
// listener, and for a second behind the Closer's, in turns. It reports the
// median of the ratios of their throughput, and the quartiles; and the same of
// the CPU time that this process took for a request, which does not depend on
// what else the machine does.
func BenchmarkListener(b *testing.B) {
	for _, bench := range []struct {
		name string
		args []string
	}{
		{"kept", nil},
		{"one request each", []string{"-H", "Connection: close"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bare := benchServer(b, func(l net.Listener) net.Listener { return l })
			ours := benchServer(b, new(linger.Closer).Listener)
			var rates, costs []float64 // ratios
			var bareRate, ourRate []float64
			for i := 0; b.Loop(); i++ {
				order := []string{bare, ours}
				if i%2 == 1 { // whoever comes second finds the machine as the first has left it
					slices.Reverse(order)
				}
				rate, cost := map[string]float64{}, map[string]float64{}
				for _, url := range order {
					rate[url], cost[url] = burst(b, append(bench.args, url))
				}
				rates, costs = append(rates, rate[ours]/rate[bare]), append(costs, cost[ours]/cost[bare])
				bareRate, ourRate = append(bareRate, rate[bare]), append(ourRate, rate[ours])
			}
			b.ReportMetric(0, "ns/op") // of wrk
			b.ReportMetric(quantile(bareRate, 0.5), "bare-req/s")
			b.ReportMetric(quantile(ourRate, 0.5), "ours-req/s")
			for name, ratios := range map[string][]float64{"ratio": rates, "cpu-ratio": costs} {
				b.ReportMetric(quantile(ratios, 0.25), name+"-q1")
				b.ReportMetric(quantile(ratios, 0.5), name)
				b.ReportMetric(quantile(ratios, 0.75), name+"-q3")
			}
		})
	}
}

func benchServer(b *testing.B, wrap func(net.Listener) net.Listener) (url string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	hello := []byte("hello")
	srv := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(hello)
	})}
	go srv.Serve(wrap(l))
	b.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String() + "/"
}

// burst returns how many requests wrk has answered each second, and the seconds
// of CPU time that each of them cost.
func burst(b *testing.B, args []string) (rate, cost float64) {
	b.Helper()
	cmd := new(netlab.Lab).Client(b, netlab.Wrk, append([]string{"-t1", "-c50", "-d1s"}, args...)...)
	before := cputime.Used()
	out, err := cmd.Output()
	used := cputime.Used() - before
	if err != nil {
		b.Fatal(err)
	}
	tally, err := netlab.ReadTally(netlab.Wrk, out)
	if err != nil {
		b.Fatal(err)
	}
	return tally.PerSecond, used.Seconds() / float64(tally.Whole)
}

func quantile(of []float64, q float64) float64 {
	sorted := slices.SortedFunc(slices.Values(of), cmp.Compare)
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
