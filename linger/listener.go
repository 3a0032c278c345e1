package linger

import "net"

// Listener returns l with its TCP connections wrapped by [Closer.Conn], so that
// a server that closes them ends them by the Closer's Policy. Close and Addr are
// l's own.
//
// Whoever accepts gets a [*Conn], which is what a layer above must be given:
// tls.NewListener(closer.Listener(l), config), not the other way round. A
// connection that is no *net.TCPConn is returned as it is.
func (cl *Closer) Listener(l net.Listener) net.Listener { return &listener{l, cl} }

type listener struct {
	net.Listener
	closer *Closer
}

// Accept returns the next connection, wrapped.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	conn := l.closer.Conn(tcp)
	conn.served = true
	return conn, nil
}
