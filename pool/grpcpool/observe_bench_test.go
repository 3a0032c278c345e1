package grpcpool

import (
	"net"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/metrics"
)

// watched are the ways to look at a channel.
func watched() map[string]func() []grpc.DialOption {
	return map[string]func() []grpc.DialOption{
		"bare":  func() []grpc.DialOption { return DialOptions(nil) },
		"stats": func() []grpc.DialOption { return Observe(nil, func(Event) {}) },
		"meter": func() []grpc.DialOption {
			d := newDialer()
			d.Meter = new(metrics.Meter)
			return Observe(d, nil)
		},
		"heard": func() []grpc.DialOption {
			creds := observing(insecure.NewCredentials(), func(net.Conn) hearer { return new(mute) })
			return append(DialOptions(nil), grpc.WithTransportCredentials(creds))
		},
	}
}

func benchmarkWatched(b *testing.B, f func(b *testing.B, channel func() *grpc.ClientConn)) {
	addr := serveHealth(b)
	for _, name := range []string{"bare", "heard", "stats", "meter"} {
		options := watched()[name]
		b.Run(name, func(b *testing.B) {
			f(b, func() *grpc.ClientConn {
				opts := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options()...)
				cc, err := grpc.NewClient(addr, opts...)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { cc.Close() })
				return cc
			})
		})
	}
}

// What it costs a call to be watched.
func BenchmarkWatchedCall(b *testing.B) {
	benchmarkWatched(b, func(b *testing.B, channel func() *grpc.ClientConn) {
		client := healthpb.NewHealthClient(channel())
		req := new(healthpb.HealthCheckRequest)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Check(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a connection at rest holds, at both of its ends.
func BenchmarkWatchedRest(b *testing.B) {
	benchmarkWatched(b, func(b *testing.B, channel func() *grpc.ClientConn) {
		const conns = 200
		for b.Loop() {
			before := memory()
			ccs := make([]*grpc.ClientConn, conns)
			for i := range ccs {
				ccs[i] = channel()
				ccs[i].Connect()
				for s := ccs[i].GetState(); s != connectivity.Ready; s = ccs[i].GetState() {
					ccs[i].WaitForStateChange(b.Context(), s)
				}
			}
			b.ReportMetric(float64(memory()-before)/conns/1024, "KiB/conn")
			for _, cc := range ccs {
				cc.Close()
			}
		}
	})
}

// memory returns the bytes of heap and stacks in use.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
