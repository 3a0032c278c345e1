package grpcpool

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/cputime"
)

// The benchmarks set our channels beside grpc-go's own in one process, whose CPU
// time is the clients' alone: the server is another process. On a noisy machine
// only ratios mean something. So an operation of these benchmarks is a round, in
// which every kind of channel has a short turn, each time in another order; and
// the figures are medians over the rounds, with the interval in which the true
// median lies with a probability of 95 %:
//
//	go test -run '^$' -bench CPU -benchtime 101x ./pool/grpcpool

// A contender is a kind of channel.
type contender struct {
	name string
	open func(t testing.TB, target string, creds credentials.TransportCredentials) (cc grpc.ClientConnInterface, end func())
}

// contenders are all that are compared, with what the first one costs.
var contenders = []contender{
	{"stock", func(t testing.TB, target string, creds credentials.TransportCredentials) (grpc.ClientConnInterface, func()) {
		return openChannel(t, target, creds)
	}},
	{"DialOptions", func(t testing.TB, target string, creds credentials.TransportCredentials) (grpc.ClientConnInterface, func()) {
		return openChannel(t, target, creds, DialOptions(nil)...)
	}},
	{"NewClient", func(t testing.TB, target string, creds credentials.TransportCredentials) (grpc.ClientConnInterface, func()) {
		p, err := NewClient(target, Config{Credentials: creds, MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		return p, func() { p.Close() }
	}},
}

func openChannel(t testing.TB, target string, creds credentials.TransportCredentials, opts ...grpc.DialOption) (*grpc.ClientConn, func()) {
	t.Helper()
	cc, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		t.Fatal(err)
	}
	return cc, func() { cc.Close() }
}

func BenchmarkCPU(b *testing.B) {
	for _, bm := range []struct {
		name    string
		worker  func(testing.TB, testgrpc.TestServiceClient) (do func() error, end func())
		callers int
		turn    int // calls, or messages there and back: about 50 ms
	}{
		{"unary", unary, 1, 1000},
		{"unary", unary, 32, 2000},
		{"stream", pingPong, 1, 2000},
		{"stream", pingPong, 32, 10000},
		{"streams", shortStream, 1, 800},
	} {
		b.Run(fmt.Sprintf("%s/callers=%d", bm.name, bm.callers), func(b *testing.B) {
			target := startBenchServer(b, false)
			var loads []func() error
			for _, c := range contenders {
				cc, end := c.open(b, target, insecure.NewCredentials())
				defer end()
				var workers []func() error
				for range bm.callers {
					do, end := bm.worker(b, testgrpc.NewTestServiceClient(cc))
					defer end()
					workers = append(workers, do)
				}
				loads = append(loads, func() error { return turn(workers, bm.turn) })
			}
			compare(b, loads, bm.turn)
		})
	}
}

// unary makes calls.
func unary(t testing.TB, client testgrpc.TestServiceClient) (do func() error, end func()) {
	req := &testgrpc.SimpleRequest{Payload: benchPayload}
	return func() error {
		_, err := client.UnaryCall(t.Context(), req)
		return err
	}, func() {}
}

// shortStream makes calls that are streams with one message each way.
func shortStream(t testing.TB, client testgrpc.TestServiceClient) (do func() error, end func()) {
	req := &testgrpc.StreamingOutputCallRequest{Payload: benchPayload}
	return func() error {
		stream, err := client.FullDuplexCall(t.Context())
		if err != nil {
			return err
		}
		if err := stream.Send(req); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		stream.CloseSend()
		if _, err := stream.Recv(); err != io.EOF {
			return fmt.Errorf("the stream does not end: %v", err)
		}
		return nil
	}, func() {}
}

// pingPong sends messages on a stream, each when the last was answered.
func pingPong(t testing.TB, client testgrpc.TestServiceClient) (do func() error, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := &testgrpc.StreamingOutputCallRequest{Payload: benchPayload}
	return func() error {
		if err := stream.Send(req); err != nil {
			return err
		}
		_, err := stream.Recv()
		return err
	}, cancel
}

// turn has the workers do n things together, and returns an error of theirs.
func turn(workers []func() error, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, len(workers))
	var wg sync.WaitGroup
	for _, do := range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// compare runs rounds of turns of n things each, and reports what the first
// load costs and how the others' costs relate to it.
func compare(b *testing.B, loads []func() error, n int) {
	b.Helper()
	cpu := make([][]float64, len(loads)) // by contender and round, in µs for one thing
	allocs := make([][]float64, len(loads))
	for round := -1; round < 0 || b.Loop(); round++ { // the first one warms up
		for i := range loads {
			who := (i + round + 1) % len(loads)
			runtime.GC() // so that nobody pays for another's garbage
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			used := cputime.Used()
			if err := loads[who](); err != nil {
				b.Fatalf("%s: %v", contenders[who].name, err)
			}
			used = cputime.Used() - used
			runtime.ReadMemStats(&after)
			if round >= 0 {
				cpu[who] = append(cpu[who], float64(used)/float64(time.Microsecond)/float64(n))
				allocs[who] = append(allocs[who], float64(after.Mallocs-before.Mallocs)/float64(n))
			}
		}
	}
	for who, c := range contenders {
		b.ReportMetric(median(allocs[who]), c.name+"-allocs/op")
	}
	b.ReportMetric(median(cpu[0]), contenders[0].name+"-cpu-µs/op")
	reportRatios(b, cpu)
}

// reportRatios reports how what the contenders cost, by contender and round,
// relates to what the first one does.
func reportRatios(b *testing.B, cost [][]float64) {
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
	for who, c := range contenders[1:] {
		ratios := make([]float64, len(cost[0]))
		for i := range ratios {
			ratios[i] = cost[1+who][i] / cost[0][i]
			if math.IsNaN(ratios[i]) {
				return // the system does not tell CPU times
			}
		}
		low, high := interval(ratios)
		b.ReportMetric(median(ratios), c.name+"-ratio")
		b.ReportMetric(low, c.name+"-ratio-low")
		b.ReportMetric(high, c.name+"-ratio-high")
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// interval returns two of the values between which the median of what they are
// samples of lies with a probability of at least 95 %: each value is above it or
// below it as a coin falls, whatever the distribution. Of less than six values
// they are the least and the greatest, and the probability is less.
func interval(v []float64) (low, high float64) {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	skip, tail := 0, 0.0
	for chance := math.Pow(0.5, float64(n)); skip < n/2; skip++ { // chance that skip of n values are below
		if tail += chance; tail > 0.025 {
			break
		}
		chance *= float64(n-skip) / float64(skip+1)
	}
	skip = max(0, skip-1)
	return v[skip], v[n-1-skip]
}
