package grpcpool

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// BenchmarkCPU compares what a call costs through a pool of one channel with
// what it costs through grpc-go's own, in pairs of rounds: the median of the
// ratios of CPU time, server included, and between which ratios half the pairs are.
func BenchmarkCPU(b *testing.B) {
	unary := func(client testgrpc.TestServiceClient) error {
		_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		return err
	}
	stream := func(client testgrpc.TestServiceClient) error {
		s, err := client.FullDuplexCall(context.Background())
		if err != nil {
			return err
		}
		for range 5 {
			if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
		s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			return err
		}
		return nil
	}
	for _, bc := range []struct {
		name    string
		call    func(testgrpc.TestServiceClient) error
		callers int
	}{
		{"unary", unary, 1},
		{"unary/8callers", unary, 8},
		{"stream", stream, 1},
	} {
		b.Run(bc.name, func(b *testing.B) {
			if _, ok := cpuTime(); !ok {
				b.Skip("the system does not say how much CPU time a process has used")
			}
			e := &echo{}
			address := e.start(b)
			cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			defer cc.Close()
			_, ours := pooled(b, address, Config{})
			stock := testgrpc.NewTestServiceClient(cc)
			round := func(client testgrpc.TestServiceClient) time.Duration {
				before, _ := cpuTime()
				var wg sync.WaitGroup
				for range bc.callers {
					wg.Go(func() {
						for range 2000 / bc.callers {
							if err := bc.call(client); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				after, _ := cpuTime()
				return after - before
			}
			round(stock)
			round(ours)
			var ratios []float64
			for b.Loop() {
				for i := range 21 {
					var s, o time.Duration
					if i%2 == 0 {
						s = round(stock)
						o = round(ours)
					} else {
						o = round(ours)
						s = round(stock)
					}
					ratios = append(ratios, o.Seconds()/s.Seconds())
				}
			}
			slices.Sort(ratios)
			n := len(ratios)
			b.ReportMetric(ratios[n/2], "×stock")
			b.ReportMetric(ratios[n/4], "lower-quartile")
			b.ReportMetric(ratios[n*3/4], "upper-quartile")
			b.ReportMetric(0, "ns/op")
		})
	}
}
