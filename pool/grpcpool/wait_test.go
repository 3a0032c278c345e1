package grpcpool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// A call that waits is given what comes first, in its turn: here a stream that
// gets free, while the channel that is dialled takes for ever.
func TestFreedStreamIsGivenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Second) }}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(1))
		p, client := n.pooled(t, Config{})
		if err := invoke(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		n.set(func(n *memnet) { n.slow = 10 * time.Second })
		started := time.Now()
		ends := make(chan int, 5)
		for i := range 5 {
			go func() {
				if err := invoke(t.Context(), client); err != nil {
					t.Error(err)
				}
				ends <- i
			}()
			synctest.Wait() // it is in the queue
		}
		if w := p.waiting.Load(); w != 4 {
			t.Errorf("%d calls wait, want 4", w)
		}
		for i := range 5 {
			if got := <-ends; got != i {
				t.Errorf("call %d ended as number %d", got, i)
			}
			if took := time.Since(started); took != time.Duration(i+1)*time.Second {
				t.Errorf("call %d ended after %v", i, took)
			}
		}
		if s := p.Stats(); s.Waits != 4 {
			t.Errorf("%d waits are counted", s.Waits)
		}
	})
}

// A call that gives up at the moment when it is given a channel gives that back.
func TestGivenTooLate(t *testing.T) {
	p, _ := pooled(t, "localhost:1", Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := 0
	for range 200 {
		c, err := p.wait(ctx)
		if err != nil {
			late++
		} else {
			c.release()
		}
	}
	if late == 0 {
		t.Error("no call gave up")
	}
	quiet(t, p)
}

// The call that is to make the first connection may never come to that.
func TestFirstCallIsHeldByAnInterceptor(t *testing.T) {
	e := &echo{}
	held := make(chan struct{})
	_, client := pooled(t, e.start(t), Config{}, grpc.WithUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if ctx.Value(heldKey{}) != nil {
				held <- struct{}{}
				<-held
				return nil
			}
			return next(ctx, method, req, reply, cc, opts...)
		}))
	first := make(chan error, 1)
	go func() { first <- invoke(context.WithValue(t.Context(), heldKey{}, true), client) }()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := invoke(ctx, client); err != nil {
		t.Error(err)
	}
	close(held)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

type heldKey struct{}

// Those who wait leave the queue from anywhere.
func TestWaiterQueue(t *testing.T) {
	var q waiterQueue
	ws := make([]*waiter, 5)
	for i := range ws {
		ws[i] = new(waiter)
		q.push(ws[i])
	}
	for _, i := range []int{2, 0, 4} {
		if !q.remove(ws[i]) || q.remove(ws[i]) {
			t.Errorf("%d does not leave once", i)
		}
	}
	if q.len != 2 || q.head != ws[1] || q.tail != ws[3] || q.head.next != q.tail || q.tail.prev != q.head {
		t.Errorf("%+v", q)
	}
}

// When there can be no more channels a call goes to the first stream that gets
// free: those of one channel may be taken for long.
func TestNoCallWaitsBehindLongOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, 100*time.Millisecond) }}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(4))
		_, client := n.pooled(t, Config{MaxConns: 2})
		defer hold(t, client, 4)() // all streams of a channel, or nearly
		if took := burst(t, client, 8); took > time.Second {
			t.Errorf("calls of 100 ms took %v", took)
		}
	})
}

// Streams is believed at MaxConns, too.
func TestStreamsBoundCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e)
		_, client := n.pooled(t, Config{MaxConns: 2, Streams: 1})
		defer hold(t, client, 10)()
		if most := e.most.Load(); most != 2 {
			t.Errorf("%d calls at a time on two channels of one stream", most)
		}
	})
}
