package grpcpool

import (
	"context"
	"io"
	"reflect"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// A stream is a streaming call that its channel counts until it ends. The end may
// show in several places, and in any one of them not at all: grpc.OnFinish is
// called once, twice, or, where an interceptor has a stream of its own, never,
// or too early: one that sends the call again if it fails has a stream of
// grpc-go for each attempt.
type stream struct {
	grpc.ClientStream
	c        *channel
	since    time.Time   // when it was given that
	one      bool        // the first message is the last
	plain    atomic.Bool // it is a stream of grpc-go: OnFinish is its end
	early    atomic.Bool // OnFinish was called before that was known
	ended    atomic.Bool
	unfollow atomic.Pointer[func() bool] // stops waiting for the end of its context; nil: nothing to stop
}

func newStream(ctx context.Context, c *channel, since time.Time, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (_ grpc.ClientStream, err error) {
	s := &stream{c: c, since: since, one: !desc.ServerStreams}
	opened := false
	defer func() {
		if !opened {
			s.end(err) // even if an interceptor panics
		}
	}()
	s.ClientStream, err = c.cc.NewStream(ctx, desc, method, append(opts[:len(opts):len(opts)], grpc.OnFinish(s.finished))...)
	if err != nil {
		return nil, err
	}
	opened = true
	if ofGRPC(s.ClientStream) {
		s.plain.Store(true)
	}
	if !s.plain.Load() || s.early.Load() {
		s.follow(ctx)
	}
	return s, nil
}

// finished is called when a stream of grpc-go ends. If that is only an attempt, the
// call ends with what its user sees.
func (s *stream) finished(err error) {
	if s.plain.Load() {
		s.end(err)
	} else {
		s.early.Store(true)
		if s.plain.Load() {
			s.end(err) // NewStream has returned meanwhile, and may have missed it
		}
	}
}

// Header returns the header, as [grpc.ClientStream] has it.
func (s *stream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	if err != nil && err != io.EOF {
		s.end(err)
	}
	return md, err
}

// SendMsg sends a message, as [grpc.ClientStream] has it.
func (s *stream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err != nil && err != io.EOF {
		s.end(err)
	}
	return err
}

// RecvMsg receives a message, as [grpc.ClientStream] has it.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil || s.one {
		s.end(err)
	}
	return err
}

// end counts the end of the call, once. It takes the error that its user sees, or
// OnFinish has.
func (s *stream) end(err error) {
	if s.ended.Swap(true) {
		return
	}
	if stop := s.unfollow.Load(); stop != nil {
		(*stop)()
	}
	s.c.finish(s.since, err)
}

// follow has the call end with its context at the latest.
func (s *stream) follow(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	s.unfollow.Store(&stop)
	if s.ended.Load() {
		stop()
	}
}

// ofGRPC reports whether s is grpc-go's own, which calls OnFinish whenever it
// ends. An interceptor's may have none of those beneath.
func ofGRPC(s grpc.ClientStream) bool {
	t := reflect.TypeOf(s)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "google.golang.org/grpc"
}
