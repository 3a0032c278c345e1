package grpcpool

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
)

// observing returns credentials that are creds in everything, but have what the
// server says on a connection heard, above whatever creds put on the wire. For
// each connection that grpc-go takes into use, open returns who hears, or nil:
// raw is the connection that was dialled. If creds is nil, so is the result.
//
// The conn of a handshake hides none of what grpc-go looks for in that of
// creds: SyscallConn and the reading that needs no buffer while nothing comes.
func observing(creds credentials.TransportCredentials, open func(raw net.Conn) hearer) credentials.TransportCredentials {
	if creds == nil {
		return nil
	}
	o := &observingCreds{creds, open}
	if x, ok := creds.(usesXDS); ok {
		return &observingXDS{o, x}
	}
	return o
}

// transportCredentials hides the embedded field's name.
type transportCredentials = credentials.TransportCredentials

// Info, ServerHandshake and OverrideServerName are the embedded credentials' own.
type observingCreds struct {
	transportCredentials
	open func(net.Conn) hearer
}

func (o *observingCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := o.transportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return c, info, err
	}
	return observe(c, raw, o.open), info, nil
}

func (o *observingCreds) Clone() credentials.TransportCredentials {
	return observing(o.transportCredentials.Clone(), o.open)
}

// usesXDS is what grpc-go's xDS balancer asks credentials for.
type usesXDS interface{ UsesXDS() bool }

type observingXDS struct {
	*observingCreds
	usesXDS
}

// observe returns c with what it reads heard.
func observe(c, raw net.Conn, open func(net.Conn) hearer) net.Conn {
	o := &observedConn{Conn: c, raw: raw, open: open}
	sys, hasSys := c.(syscall.Conn)
	ready, hasReady := c.(readsWhenReady)
	if !hasReady {
		ready = newBareReader(c) // grpc-go knows such a conn by its type, which is another now
		hasReady = ready != nil
	}
	switch {
	case hasSys && hasReady:
		return &struct {
			*observedReady
			sysConn
		}{&observedReady{o, ready}, sys}
	case hasReady:
		return &observedReady{o, ready}
	case hasSys:
		return &struct {
			*observedConn
			sysConn
		}{o, sys}
	}
	return o
}

// sysConn hides the embedded field's name, which is that of net.Conn too.
type sysConn = syscall.Conn

// An observedConn is a connection that grpc-go uses, with what it reads heard.
// One goroutine at a time may read, as grpc-go does.
type observedConn struct {
	net.Conn          // what the credentials made of raw
	raw      net.Conn // what was dialled
	open     func(raw net.Conn) hearer

	state  atomic.Uint32
	hearer hearer // or nil; the reader's, and the closer's once state is heard
	frames frames // the reader's
}

// The states of an observedConn. grpc-go drops a connection whose security does
// not suffice for its per-call credentials without reading it, and closes only
// what was dialled: so nobody hears before the first read.
const (
	unheard uint32 = iota
	heard
	hungUp
)

// NetConn returns the connection below.
func (o *observedConn) NetConn() net.Conn { return o.Conn }

func (o *observedConn) Read(p []byte) (int, error) {
	o.begin()
	n, err := o.Conn.Read(p)
	o.hear(p[:max(0, n)])
	return n, err
}

// begin gets the hearer, if this is the first read.
func (o *observedConn) begin() {
	if o.state.Load() != unheard {
		return
	}
	o.hearer = o.open(o.raw)
	if !o.state.CompareAndSwap(unheard, heard) && o.hearer != nil {
		o.hearer.closed() // Close came in between, and found nobody to tell
	}
}

func (o *observedConn) hear(p []byte) {
	if o.hearer != nil {
		o.frames.hear(p, o.hearer)
	}
}

// Close closes the connection. grpc-go does so more than once.
func (o *observedConn) Close() error {
	if o.state.Swap(hungUp) == heard && o.hearer != nil {
		o.hearer.closed()
	}
	return o.Conn.Close()
}

// readsWhenReady is what a connection has that takes a buffer only once there is
// something to read. grpc-go has this interface in an internal package.
type readsWhenReady interface {
	ReadOnReady(bufSize int, pool mem.BufferPool) (b *[]byte, n int, err error)
}

type observedReady struct {
	*observedConn
	ready readsWhenReady
}

func (o *observedReady) ReadOnReady(bufSize int, pool mem.BufferPool) (*[]byte, int, error) {
	o.begin()
	b, n, err := o.ready.ReadOnReady(bufSize, pool)
	if b != nil && n > 0 {
		o.hear((*b)[:n])
	}
	return b, n, err
}
