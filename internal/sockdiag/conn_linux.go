package sockdiag

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Conn is an open netlink socket with its buffer. It can be used again and
// again, by one goroutine at a time.
type Conn struct {
	fd   int
	seq  uint32
	left bool // a dump was stopped, the rest of which is still to be read
	req  [dumpLen]byte
	buf  [maxMessage]byte
}

// answerTimeout bounds the wait for an answer, which the kernel in fact has
// ready when the request returns.
var answerTimeout = unix.Timeval{Sec: 2}

// Open returns a Conn for the network namespace of the calling thread. The
// caller must Close it.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &answerTimeout); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return &Conn{fd: fd}, nil
}

// Close releases the socket. A second Close returns [net.ErrClosed].
func (c *Conn) Close() error {
	if c.fd < 0 {
		return net.ErrClosed
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return os.NewSyscallError("close", err)
}

// Lookup returns the state of the connection from local to remote, or false
// when the kernel knows none. A connection that has become a mini-socket is in
// state TimeWait or FinWait2. IPv4 connections are found whether their socket
// is an IPv4 or an IPv6 one, and whether or not the addresses given are
// IPv4-mapped. It costs some microseconds however many sockets there are, and
// allocates nothing.
func (c *Conn) Lookup(local, remote netip.AddrPort) (State, bool, error) {
	s, ok, err := c.Find(local, remote)
	return s.State, ok, err
}

// Find is Lookup for those who want all that the kernel says.
func (c *Conn) Find(local, remote netip.AddrPort) (Socket, bool, error) {
	return c.FindOn(0, local, remote)
}

// FindOn is Find for a connection whose socket is bound to the device with that
// number (SO_BINDTODEVICE, a VRF), which Find does not see, or to none.
func (c *Conn) FindOn(device uint32, local, remote netip.AddrPort) (Socket, bool, error) {
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if !local.IsValid() || !remote.IsValid() || local.Addr().BitLen() != remote.Addr().BitLen() {
		return Socket{}, false, fmt.Errorf("sockdiag: no connection goes from %v to %v", local, remote)
	}
	family := uint8(unix.AF_INET6)
	if remote.Addr().Is4() {
		family = unix.AF_INET
	}
	// A link-local address means nothing without its interface.
	ifindex := device
	if ifindex == 0 {
		var err error
		if ifindex, err = zoneIndex(remote.Addr().Zone()); err != nil {
			return Socket{}, false, err
		}
	}

	c.seq++
	req := appendRequest(c.req[:0], c.seq, family, AllStates)
	req = appendID(req, local, remote, ifindex)
	if err := c.send(req); err != nil {
		return Socket{}, false, err
	}
	found, ok := Socket{}, false
	err := c.receive(func(s Socket) bool {
		found, ok = s, true
		return true
	}, false)
	if err == unix.ENOENT {
		return Socket{}, false, nil
	}
	// Where the connection is missing the kernel answers with a listener that
	// could accept it.
	if err != nil || !ok || found.Local != unzoned(local) || found.Remote != unzoned(remote) {
		return Socket{}, false, err
	}
	return found, true, nil
}

// Each calls fn for every TCP socket whose state is in the mask states (see
// [State.Mask]), until fn returns false. The sockets are read as a stream
// through one buffer, so ten thousand cost milliseconds and no memory. A
// socket that changes while the kernel walks its table may be missed or seen
// twice. fn must not use the Conn.
func (c *Conn) Each(states uint32, fn func(Socket) bool) error { return c.each(states, false, fn) }

// EachHeard is Each with [Socket.Heard] filled in, for which the kernel has to
// lock each socket.
func (c *Conn) EachHeard(states uint32, fn func(Socket) bool) error { return c.each(states, true, fn) }

func (c *Conn) each(states uint32, info bool, fn func(Socket) bool) error {
	c.seq++
	if err := c.send(appendDump(c.req[:0], c.seq, states, info)); err != nil {
		return err
	}
	return c.receive(fn, true)
}

func (c *Conn) send(req []byte) error {
	if c.fd < 0 {
		return net.ErrClosed
	}
	if c.left {
		if err := c.receive(func(Socket) bool { return true }, true); c.left {
			return err
		}
	}
	_, err := ignoringEINTR(func() (int, error) { return unix.Write(c.fd, req) })
	return os.NewSyscallError("write", err)
}

// receive hands the sockets in the answer to fn, until fn returns false; what
// follows would be in the way of the next request, which reads and drops it. So
// nobody waits for the kernel to walk all of its table who has seen enough. The answer to a dump ends with a message of its own; any other
// answer is one message. An error that the kernel answers with is returned as
// a bare unix.Errno.
func (c *Conn) receive(fn func(Socket) bool, dump bool) error {
	stopped := false
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(c.fd, c.buf[:]) })
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		for b := c.buf[:n]; len(b) > 0; {
			var m message
			if m, b, err = parse(b); err != nil {
				return err
			}
			if m.seq != c.seq && !c.left {
				continue // left over from a request that failed half-way
			}
			switch m.kind {
			case kindSock, kindDump:
				stopped = stopped || !fn(m.sock)
				if !dump {
					return nil
				}
			case kindError, kindDone:
				c.left = false
				if m.errno != 0 {
					return m.errno
				}
				return nil
			}
		}
		if stopped {
			c.left = true
			return nil
		}
	}
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func unzoned(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

// zoneIndex returns the interface index that zone, a name or a number, means.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("sockdiag: zone %q: %w", zone, err)
	}
	return uint32(ifi.Index), nil
}
