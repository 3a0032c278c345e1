//go:build unix

package grpcpool

import (
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
)

// TestIdleMemory: without ReadOnReady a connection at rest would hold a buffer of
// 32 KiB more. The benchmark has the figures.
func TestIdleMemory(t *testing.T) {
	const conns = 300
	target := startBenchServer(t, false)
	for _, c := range contenders { // what the runtime keeps of a goroutine does not count
		idleMemory(t, c, target, conns)
	}
	stock := idleMemory(t, contenders[0], target, conns)
	t.Logf("a connection at rest: %s %+v", contenders[0].name, stock)
	for _, c := range contenders[1:] {
		ours := idleMemory(t, c, target, conns)
		t.Logf("a connection at rest: %s %+v", c.name, ours)
		more := 2.0
		if c.name == "NewClient" {
			// A pool for each channel, which nobody needs: 6 KiB, and 2.5 of
			// accounts, which are a host's and not a connection's.
			more = 9
		}
		if ours.heap > stock.heap+more || ours.heap > 26 {
			t.Errorf("%s: %.1f KiB of heap for a connection at rest; stock %.1f KiB", c.name, ours.heap, stock.heap)
		}
	}
}

func BenchmarkIdleMemory(b *testing.B) {
	const conns = 1000
	target := startBenchServer(b, false)
	heap, stacks := make([][]float64, len(contenders)), make([][]float64, len(contenders))
	for _, c := range contenders {
		idleMemory(b, c, target, conns)
	}
	for b.Loop() {
		for i, c := range contenders {
			m := idleMemory(b, c, target, conns)
			heap[i], stacks[i] = append(heap[i], m.heap), append(stacks[i], m.stacks)
		}
	}
	for i, c := range contenders {
		b.ReportMetric(median(heap[i]), c.name+"-heap-KiB/conn")
		b.ReportMetric(median(stacks[i]), c.name+"-stacks-KiB/conn")
	}
	b.ReportMetric(0, "ns/op")
}

// A footprint is the memory of one connection and its channel, in KiB.
type footprint struct {
	heap   float64
	stacks float64 // of its goroutines
}

// idleMemory returns what a channel with one connection at rest holds, of as many
// as are to be made. The server is another process.
func idleMemory(t testing.TB, c contender, target string, conns int) footprint {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	before := inUse()
	ends := make([]func(), conns)
	channels := make([]grpc.ClientConnInterface, conns)
	for i := range channels {
		channels[i], ends[i] = c.open(t, target, insecure.NewCredentials())
		req := &testgrpc.SimpleRequest{Payload: benchPayload}
		if _, err := testgrpc.NewTestServiceClient(channels[i]).UnaryCall(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	after := inUse()
	runtime.KeepAlive(channels)
	for _, end := range ends {
		end()
	}
	netlab.Eventually(t, 10*time.Second, "the channels' goroutines end", func() bool {
		return runtime.NumGoroutine() <= goroutines
	})
	return footprint{
		heap:   (after.heap - before.heap) / float64(conns),
		stacks: (after.stacks - before.stacks) / float64(conns),
	}
}

func inUse() footprint {
	for range 3 { // what a sync.Pool holds goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{heap: float64(m.HeapAlloc) / 1024, stacks: float64(m.StackInuse) / 1024}
}
