package linger_test

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// BenchmarkListener has wrk load net/http's server for a second behind a bare
// listener, and for a second behind the Closer's, in turns. It reports the
// median of the ratios of their throughput, and the quartiles.
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
			var ratios, bares, ourses []float64
			for i := 0; b.Loop(); i++ {
				order := []string{bare, ours}
				if i%2 == 1 { // whoever comes second finds the machine as the first has left it
					slices.Reverse(order)
				}
				rates := map[string]float64{}
				for _, url := range order {
					rates[url] = wrkRate(b, append(bench.args, url))
				}
				ratios = append(ratios, rates[ours]/rates[bare])
				bares, ourses = append(bares, rates[bare]), append(ourses, rates[ours])
			}
			b.ReportMetric(0, "ns/op") // of wrk
			b.ReportMetric(quantile(bares, 0.5), "bare-req/s")
			b.ReportMetric(quantile(ourses, 0.5), "ours-req/s")
			b.ReportMetric(quantile(ratios, 0.25), "ratio-q1")
			b.ReportMetric(quantile(ratios, 0.5), "ratio")
			b.ReportMetric(quantile(ratios, 0.75), "ratio-q3")
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

// wrkRate returns how many requests wrk has answered each second.
func wrkRate(b *testing.B, args []string) float64 {
	b.Helper()
	cmd := new(netlab.Lab).Client(b, netlab.Wrk, append([]string{"-t1", "-c50", "-d1s"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	tally, err := netlab.ReadTally(netlab.Wrk, out)
	if err != nil {
		b.Fatal(err)
	}
	return tally.PerSecond
}

func quantile(of []float64, q float64) float64 {
	sorted := slices.SortedFunc(slices.Values(of), cmp.Compare)
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
