package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// The layouts are those of <linux/netlink.h> and <linux/inet_diag.h>, which
// are part of the kernel's ABI. x/sys/unix has none of the second.
const (
	headerLen  = unix.NLMSG_HDRLEN   // struct nlmsghdr
	sockIDLen  = 48                  // struct inet_diag_sockid
	requestLen = headerLen + 8 + 48  // … and struct inet_diag_req_v2
	dumpLen    = headerLen + 60      // … and struct inet_diag_req, see appendDump
	sockLen    = 4 + sockIDLen + 5*4 // struct inet_diag_msg
	errnoLen   = 4                   // start of struct nlmsgerr
	noCookie   = 0xffffffff          // INET_DIAG_NOCOOKIE: any socket with these addresses
	maxMessage = 32 << 10            // the kernel never makes a dump's datagram larger
	kindSock   = unix.SOCK_DIAG_BY_FAMILY
	kindDump   = 18 // TCPDIAG_GETSOCK
	kindError  = unix.NLMSG_ERROR
	kindDone   = unix.NLMSG_DONE

	attrHeaderLen = 4  // struct rtattr
	attrInfo      = 2  // INET_DIAG_INFO, a struct tcp_info
	infoHeard     = 56 // its tcpi_last_ack_recv
)

var errMessage = errors.New("sockdiag: malformed netlink message")

// A message is one netlink message, parsed.
type message struct {
	kind  uint16
	seq   uint32
	errno unix.Errno // of kindError and kindDone; 0 is success
	sock  Socket     // of kindSock and kindDump
}

// parse returns the first message in b and what follows it. It trusts nothing
// about b.
func parse(b []byte) (m message, rest []byte, err error) {
	if len(b) < headerLen {
		return m, nil, errMessage
	}
	n := binary.NativeEndian.Uint32(b)
	if n < headerLen || uint64(n) > uint64(len(b)) {
		return m, nil, errMessage
	}
	m.kind = binary.NativeEndian.Uint16(b[4:])
	m.seq = binary.NativeEndian.Uint32(b[8:])
	body := b[headerLen:n]

	switch m.kind {
	case kindSock, kindDump:
		if m.sock, err = parseSocket(body); err != nil {
			return m, nil, err
		}
	case kindError, kindDone:
		// A dump that ends well may leave out the status.
		if len(body) >= errnoLen {
			m.errno = unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		} else if m.kind == kindError {
			return m, nil, errMessage
		}
	}

	// Messages are aligned; the last one need not be padded.
	next := min((uint64(n)+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), uint64(len(b)))
	return m, b[next:], nil
}

// parseSocket reads a struct inet_diag_msg and, of the attributes that may
// follow it, struct tcp_info.
func parseSocket(b []byte) (s Socket, err error) {
	if len(b) < sockLen {
		return s, errMessage
	}
	id := b[4:]
	var local, remote netip.Addr
	switch b[0] {
	case unix.AF_INET:
		local = netip.AddrFrom4([4]byte(id[4:]))
		remote = netip.AddrFrom4([4]byte(id[20:]))
	case unix.AF_INET6:
		local = netip.AddrFrom16([16]byte(id[4:])).Unmap()
		remote = netip.AddrFrom16([16]byte(id[20:])).Unmap()
	default:
		return s, errMessage
	}
	tail := id[sockIDLen:]
	s = Socket{
		Local:   netip.AddrPortFrom(local, binary.BigEndian.Uint16(id)),
		Remote:  netip.AddrPortFrom(remote, binary.BigEndian.Uint16(id[2:])),
		State:   State(b[1]),
		Timer:   b[2],
		Expires: time.Duration(binary.NativeEndian.Uint32(tail)) * time.Millisecond,
		Unread:  binary.NativeEndian.Uint32(tail[4:]),
		UID:     binary.NativeEndian.Uint32(tail[12:]),
		Inode:   binary.NativeEndian.Uint32(tail[16:]),
	}
	if info := attribute(b[sockLen:], attrInfo); len(info) >= infoHeard+4 {
		s.Heard = time.Duration(binary.NativeEndian.Uint32(info[infoHeard:])) * time.Millisecond
	}
	return s, nil
}

// attribute returns the payload of the first attribute of that kind in b, or
// nil.
func attribute(b []byte, kind uint16) []byte {
	for len(b) >= attrHeaderLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHeaderLen || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:]) == kind {
			return b[attrHeaderLen:n]
		}
		b = b[min((n+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(b)):]
	}
	return nil
}

// appendRequest appends a request for the TCP sockets of family in states. The
// addresses of one follow.
func appendRequest(b []byte, seq uint32, family uint8, states uint32) []byte {
	b = appendHeader(b, requestLen, kindSock, 0, seq)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	return binary.NativeEndian.AppendUint32(b, states)
}

// appendDump appends a request for all TCP sockets in states. If info is set,
// struct tcp_info comes with each.
//
// It is the older of the two requests, because the newer one is for one family:
// to walk through the kernel's table for the second took a quarter of the time,
// even if there was none. Wherever the kernel has one it has the other, and the
// answers are the same.
func appendDump(b []byte, seq uint32, states uint32, info bool) []byte {
	var extensions uint8
	if info {
		extensions = 1 << (attrInfo - 1)
	}
	b = appendHeader(b, dumpLen, kindDump, unix.NLM_F_DUMP, seq)
	b = append(b, unix.AF_UNSPEC, 0, 0, extensions)
	b = appendID(b, netip.AddrPort{}, netip.AddrPort{}, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return binary.NativeEndian.AppendUint32(b, 0)
}

func appendHeader(b []byte, n uint32, kind, flags uint16, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, n)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return binary.NativeEndian.AppendUint32(b, 0) // the kernel fills in our port id
}

// appendID appends the addresses of one socket, as seen from it.
func appendID(b []byte, local, remote netip.AddrPort, ifindex uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	b = appendAddr(b, local.Addr())
	b = appendAddr(b, remote.Addr())
	b = binary.NativeEndian.AppendUint32(b, ifindex)
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}

// appendAddr appends a in 16 bytes; an IPv4 address takes the first four.
func appendAddr(b []byte, a netip.Addr) []byte {
	var field [16]byte
	if a.Is4() {
		four := a.As4()
		copy(field[:], four[:])
	} else if a.Is6() {
		field = a.As16()
	}
	return append(b, field[:]...)
}
