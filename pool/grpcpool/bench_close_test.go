package grpcpool

import (
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// BenchmarkClose closes channels with a connection at rest, one after the other.
// An operation is a round, as in BenchmarkCPU.
func BenchmarkClose(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(encryption(secure), func(b *testing.B) {
			target, creds := startBenchServer(b, secure), insecure.NewCredentials()
			if secure {
				_, creds = benchCredentials()
			}
			took := make([][]float64, len(contenders)) // by contender and round, in µs
			for round := 0; b.Loop(); round++ {
				for i := range contenders {
					who := (i + round) % len(contenders)
					const channels = 50
					var ends []func()
					for range channels {
						cc, end := contenders[who].open(b, target, creds)
						ends = append(ends, end)
						if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(b.Context(), &testgrpc.SimpleRequest{}); err != nil {
							b.Fatal(err)
						}
					}
					start := time.Now()
					for _, end := range ends {
						end()
					}
					took[who] = append(took[who], float64(time.Since(start))/float64(time.Microsecond)/channels)
				}
			}
			b.ReportMetric(median(took[0]), contenders[0].name+"-µs/close")
			reportRatios(b, took)
		})
	}
}
