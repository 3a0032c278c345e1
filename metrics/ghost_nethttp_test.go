package metrics

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestGhostAgainstNetHTTP asks net/http itself: in a bubble, where time is
// exact, a real Transport with the default limits serves random requests over
// pipes, and the connections that it closes are compared with what the ghost
// claims from nothing but the times at which an ideal pool would have begun
// and ended the same requests.
func TestGhostAgainstNetHTTP(t *testing.T) {
	for _, tt := range []struct {
		name               string
		gap, service, dial time.Duration
	}{
		{"dials take no time to speak of", 2 * time.Millisecond, 20 * time.Millisecond, time.Microsecond},
		{"dials are shorter than requests", 2 * time.Millisecond, 10 * time.Millisecond, 2 * time.Millisecond},
		{"dials are as long as requests", 5 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond},
		{"dials are longer than requests", 10 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond},
		{"rare requests", 45 * time.Second, 60 * time.Second, 10 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 2000
				rng := rand.New(rand.NewPCG(1, 2))
				transport, closed := pipeTransport(tt.dial)

				gs := newGhosts(nil)
				h := gs.host(new(keepAlive))
				h.keeps.rested.Store(idleFor.Nanoseconds()) // the server never closes
				events := []event{{int64(tt.dial), h, dialed}}
				start := time.Now()
				for range n {
					time.Sleep(1 + time.Duration(rng.ExpFloat64()*float64(tt.gap)))
					service := 1 + time.Duration(rng.ExpFloat64()*float64(tt.service))
					at := int64(time.Since(start))
					events = append(events, event{at, h, leased}, event{at + int64(service), h, returned})
					go func() {
						req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://pipe/"+service.String(), nil)
						resp, err := transport.RoundTrip(req)
						if err != nil {
							t.Error(err)
							return
						}
						resp.Body.Close()
					}()
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				slices.SortStableFunc(events, func(a, b event) int {
					if a.kind == dialed || b.kind == dialed {
						return 0
					}
					return int(a.at - b.at)
				})
				gs.play(events, int64(time.Since(start)))

				got, want := float64(h.parts[0].closed), float64(closed.Load())
				t.Logf("ghost %v, net/http %v (%+.1f %%), of %d requests", got, want, 100*(got-want)/want, n)
				if got < 0.9*want || got > 1.1*want {
					t.Errorf("the ghost closed %v connections, net/http %v", got, want)
				}
			})
		})
	}
}

// pipeTransport returns a Transport with http.DefaultTransport's limits, whose
// server takes as long for a request as its path says, and the number of
// connections that the Transport has closed.
func pipeTransport(dial time.Duration) (*http.Transport, *atomic.Int64) {
	closed := new(atomic.Int64)
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(dial)
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			r := bufio.NewReader(server)
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				service, _ := time.ParseDuration(req.URL.Path[1:])
				time.Sleep(service)
				io.WriteString(server, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}()
		return &countedConn{Conn: client, closed: closed}, nil
	}
	return tr, closed
}

type countedConn struct {
	net.Conn
	once   atomic.Bool
	closed *atomic.Int64
}

func (c *countedConn) Close() error {
	if !c.once.Swap(true) {
		c.closed.Add(1)
	}
	return c.Conn.Close()
}
