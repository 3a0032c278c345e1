package pool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/dialer"
)

// noPort is how a dial fails when there is no local port.
func noPort() error {
	err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
	return &dialer.Error{Cause: dialer.PortsExhausted, Err: err}
}

// bareNoPort is the same by a dialer that does not explain it.
func bareNoPort() error { return errors.Unwrap(noPort()) }

// scarce lets base have no more than a number of connections at a time.
func scarce(base *http.Transport, ports int32, fail func() error) (inUse *atomic.Int32) {
	inUse = new(atomic.Int32)
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if inUse.Add(1) > ports {
			inUse.Add(-1)
			return nil, fail()
		}
		c, err := dial(ctx, network, address)
		if err != nil {
			inUse.Add(-1)
			return nil, err
		}
		return &scarceConn{Conn: c, inUse: inUse}, nil
	}
	return inUse
}

type scarceConn struct {
	net.Conn
	inUse  *atomic.Int32
	closed atomic.Bool
}

func (c *scarceConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.inUse.Add(-1)
	}
	return c.Conn.Close()
}

// slowly answers after a second.
var slowly = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) })

// TestWaitsForAPort: ten requests share three ports, whoever dials and whether
// or not connections are reused. All of them succeed.
func TestWaitsForAPort(t *testing.T) {
	for _, tt := range []struct {
		name        string
		fail        func() error
		maxRequests int
	}{
		{"reused", noPort, 0},
		{"reused, unexplained", bareNoPort, 0},
		{"one request each", noPort, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
				scarce(base, 3, tt.fail)
				tr := &Transport{Base: base, MaxRequests: tt.maxRequests}
				errs := make(chan error, 10)
				began := time.Now()
				for i := range cap(errs) {
					go func() {
						resp, err := (&http.Client{Transport: tr}).Get(pipeURL)
						if err == nil {
							err = resp.Body.Close()
						}
						errs <- err
					}()
					if i == 2 {
						synctest.Wait() // an error that does not explain itself is only taken for want of a port where there are connections
					}
				}
				for range cap(errs) {
					if err := <-errs; err != nil {
						t.Error(err)
					}
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("took %v, want four turns of a second, and some waits", took)
				}
				shutdown(t, tr)
			})
		})
	}
}

// TestWaitForAPortEnds: with its context, whose error says what it waited for,
// or after a while if there is no connection to wait for.
func TestWaitForAPortEnds(t *testing.T) {
	ask := func(ctx context.Context, tr *Transport) error {
		req, err := http.NewRequestWithContext(ctx, "GET", pipeURL, nil)
		if err != nil {
			return err
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	t.Run("context", func(t *testing.T) {
		inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
			scarce(base, 1, noPort)
			tr := &Transport{Base: base}
			first := make(chan error)
			go func() { first <- ask(t.Context(), tr) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := ask(ctx, tr)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dialer.ErrPortsExhausted) {
				t.Errorf("got %v", err)
			}
			if err := <-first; err != nil {
				t.Error(err)
			}
			shutdown(t, tr)
		})
	})
	t.Run("nothing to wait for", func(t *testing.T) {
		inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
			inUse := scarce(base, 1, noPort)
			inUse.Add(1) // somebody else's
			tr := &Transport{Base: base}
			began := time.Now()
			err := ask(t.Context(), tr)
			var pe *Error
			if !errors.Is(err, dialer.ErrPortsExhausted) || !errors.As(err, &pe) || pe.Op != "dial" {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took < exhaustedFor || took > exhaustedFor+backoffMax {
				t.Errorf("failed after %v", took)
			}
			// It is known by now, so the next one hears of it with the next dial.
			began = time.Now()
			if err := ask(t.Context(), tr); !errors.Is(err, dialer.ErrPortsExhausted) || time.Since(began) > 2*backoffMax {
				t.Errorf("the next: %v after %v", err, time.Since(began))
			}
			time.AfterFunc(100*time.Millisecond, func() { inUse.Add(-1) })
			time.Sleep(time.Minute) // the group, and what it knew, is forgotten
			if err := ask(t.Context(), tr); err != nil {
				t.Errorf("with a port: %v", err)
			}
			shutdown(t, tr)
		})
	})
	t.Run("dials take long", func(t *testing.T) {
		inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
			base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				<-time.After(exhaustedFor + time.Second)
				return nil, noPort()
			}
			tr := &Transport{Base: base}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := ask(ctx, tr); !errors.Is(err, dialer.ErrPortsExhausted) || ctx.Err() != nil {
				t.Errorf("got %v", err)
			}
			shutdown(t, tr)
		})
	})
	t.Run("source is gone", func(t *testing.T) {
		gone := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}
		for _, err := range []error{gone, &dialer.Error{Cause: dialer.SourceNotLocal, Err: gone}} {
			inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
				scarce(base, 1, func() error { return err })
				tr := &Transport{Base: base}
				first := make(chan error)
				go func() { first <- ask(t.Context(), tr) }()
				synctest.Wait()
				began := time.Now()
				if err := ask(t.Context(), tr); !errors.Is(err, syscall.EADDRNOTAVAIL) || time.Since(began) > 0 {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				if err := <-first; err != nil {
					t.Error(err)
				}
				shutdown(t, tr)
			})
		}
	})
	t.Run("another failure", func(t *testing.T) {
		inBubble(t, slowly, func(t *testing.T, base *http.Transport, l *pipeListener) {
			refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
			scarce(base, 0, func() error { return refused })
			tr := &Transport{Base: base}
			began := time.Now()
			// Without an explanation, or a connection, there may be no way at all.
			if err := ask(t.Context(), tr); !errors.Is(err, syscall.EADDRNOTAVAIL) || time.Since(began) > 0 {
				t.Errorf("got %v after %v", err, time.Since(began))
			}
			shutdown(t, tr)
		})
	})
}
