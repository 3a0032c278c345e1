package grpcpool

import (
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// TestNobodyWaits: ClientConn.Close does not wait for goodbyes, and a server
// that stops gracefully does not wait for ours. The bounds are far above what
// either takes: a farewell that Close waited for would take two seconds each,
// and a server whose last PING nobody answers takes six.
func TestNobodyWaits(t *testing.T) {
	for _, test := range []struct {
		name  string
		bound time.Duration
		end   func(*stage)
	}{
		{"ClientConn.Close", 2 * time.Second, (*stage).close},
		{"GracefulStop", 3 * time.Second, func(s *stage) { s.grpc.GracefulStop() }},
	} {
		for _, proto := range protos {
			t.Run(test.name+"/"+proto, func(t *testing.T) {
				ring(t, func(lab *netlab.Lab) {
					var took [2][]time.Duration // stock's and ours
					for range 3 {
						for i := range took {
							s := newStage(t, lab, proto, i == 1)
							grpcServer()(s)
							s.open()
							began := time.Now()
							test.end(s)
							took[i] = append(took[i], time.Since(began))
							s.close()
							s.judge()
						}
					}
					for i := range took {
						slices.Sort(took[i])
					}
					if took[1][1] > test.bound {
						t.Errorf("it takes %v", took[1][1])
					}
					t.Logf("%s: %d connections, median of 3: %v; stock grpc-go: %v", t.Name(), ringConns, took[1][1], took[0][1])
				})
			})
		}
	}
}
