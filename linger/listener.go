package linger

import "net"

// Listener returns l with its TCP connections wrapped: Accept returns a [*Conn],
// so that a server which closes one ends it by the Closer's Policy, and keeps no
// TIME_WAIT where the platform is Linux. Close and Addr are l's own. A connection
// that is no *net.TCPConn is returned as it is.
//
// Layers go over it, not under it: tls.NewListener(closer.Listener(l), config).
// A server in a program that ends is shut down first (http.Server.Shutdown,
// grpc.Server.GracefulStop), then the Closer ([Closer.Shutdown]). Where the first
// gives up because its context has ended, the connections that it leaves open are
// ended by http.Server.Close or grpc.Server.Stop; and the Closer then needs a
// context of its own, with some seconds left. A connection that was hijacked is
// for its owner to close.
//
// Nothing is set on a socket before its connection is closed: not on l, from
// which Linux would inherit it, and Go's listeners not even that, since they
// speak Multipath TCP too. A process that is killed therefore leaves what any
// other would.
//
// A client that speaks Multipath TCP itself gets a socket without the options
// that an ending needs; it is closed plainly and counted as what it is. Who has
// such clients and wants none of it listens with
// net.ListenConfig.SetMultipathTCP(false).
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
