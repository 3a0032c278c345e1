package pool

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The benchmarks set our Transport beside a tuned http.Transport in the same
// process and run, against one server in the process, whose part of the cost is
// the same for both. On a noisy machine only the ratios mean something: they
// are medians over short turns that alternate.

// tuned returns what somebody who knows net/http would use.
func tuned(base *http.Transport) *http.Transport {
	tr := base.Clone()
	tr.MaxIdleConns = 0
	tr.MaxIdleConnsPerHost = 1000
	return tr
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, proto := range []string{"http", "h2"} {
		for _, ctx := range []string{"background", "cancelable"} {
			for _, callers := range []int{1, 32, 128} {
				b.Run(fmt.Sprintf("%s/%s/callers=%d", proto, ctx, callers), func(b *testing.B) {
					benchmarkPair(b, proto, ctx == "cancelable", callers)
				})
			}
		}
	}
}

func benchmarkPair(b *testing.B, proto string, cancelable bool, callers int) {
	srv, base := newServer(b, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(benchBody)
	}))
	stock := tuned(base)
	defer stock.CloseIdleConnections()
	ours := &Transport{Base: base}
	defer shutdown(b, ours)
	ctx, cancel := context.Background(), func() {}
	if cancelable {
		ctx, cancel = context.WithCancel(ctx)
	}
	defer cancel()

	load := func(rt http.RoundTripper, n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					benchGet(b, ctx, rt, srv.URL)
				}
			})
		}
		wg.Wait()
	}
	const turn = 1000
	load(stock, turn)
	load(ours, turn)

	var cost [2][]usage
	b.ResetTimer()
	clients := []http.RoundTripper{stock, ours}
	for done, first := 0, 0; done < b.N; first = 1 - first {
		n := min(turn, b.N-done)
		done += n
		for _, i := range []int{first, 1 - first} { // who comes second pays for the other's garbage
			before := readUsage()
			load(clients[i], n)
			cost[i] = append(cost[i], readUsage().since(before).per(n))
		}
	}
	b.StopTimer()
	for i, name := range []string{"stock", "ours"} {
		c := cost[i]
		b.ReportMetric(median(c, func(u usage) float64 { return u.wall }), name+"-ns/op")
		b.ReportMetric(median(c, func(u usage) float64 { return u.cpu / 1e3 }), name+"-cpu-µs/op")
		b.ReportMetric(median(c, func(u usage) float64 { return u.bytes }), name+"-B/op")
		b.ReportMetric(median(c, func(u usage) float64 { return u.allocs }), name+"-allocs/op")
	}
	cpu := func(u usage) float64 { return u.cpu }
	b.ReportMetric(median(cost[1], cpu)/median(cost[0], cpu), "cpu-ratio")
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
}

var benchBody = make([]byte, 200)

func benchGet(b *testing.B, ctx context.Context, rt http.RoundTripper, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		b.Error(err)
		return
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// usage is what some work cost.
type usage struct{ wall, cpu, bytes, allocs float64 }

func (u usage) since(v usage) usage {
	return usage{u.wall - v.wall, u.cpu - v.cpu, u.bytes - v.bytes, u.allocs - v.allocs}
}

func (u usage) per(n int) usage {
	f := float64(n)
	return usage{u.wall / f, u.cpu / f, u.bytes / f, u.allocs / f}
}

func median(all []usage, of func(usage) float64) float64 {
	v := make([]float64, len(all))
	for i, u := range all {
		v[i] = of(u)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

var started = time.Now()
