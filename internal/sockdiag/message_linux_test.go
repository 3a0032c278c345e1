package sockdiag

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rawSocket is an answer as the kernel writes it.
func rawSocket(family uint8, state State, timer uint8, local, remote netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint32(nil, headerLen+sockLen)
	b = binary.NativeEndian.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, 7) // sequence number
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, family, byte(state), timer, 0)
	b = appendID(b, local, remote, 0)
	for _, v := range []uint32{1500, 17, 0, 1000, 4242} { // expires, queues, uid, inode
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

func TestParseSocket(t *testing.T) {
	for _, tt := range []struct {
		family        uint8
		local, remote string
		want          string // local, when it differs
	}{
		{unix.AF_INET, "10.0.0.1:40000", "10.0.0.2:443", ""},
		{unix.AF_INET6, "[2001:db8::1]:40000", "[2001:db8::2]:443", ""},
		{unix.AF_INET6, "[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:443", "10.0.0.1:40000"},
	} {
		local, remote := netip.MustParseAddrPort(tt.local), netip.MustParseAddrPort(tt.remote)
		raw := rawSocket(tt.family, TimeWait, timerTimeWait, local, remote)
		m, rest, err := parse(append(raw, raw...))
		if err != nil || len(rest) != len(raw) {
			t.Fatalf("%s: parse left %d bytes, error %v", tt.local, len(rest), err)
		}
		if tt.want == "" {
			tt.want = tt.local
		}
		s := m.sock
		if s.Local.String() != tt.want || s.Remote.Port() != 443 {
			t.Errorf("addresses %v → %v, want %s → …:443", s.Local, s.Remote, tt.want)
		}
		if !s.Mini() || s.State != TimeWait || s.Expires != 1500*time.Millisecond || s.UID != 1000 || s.Unread != 17 || s.Heard != 0 || s.Inode != 4242 || m.seq != 7 {
			t.Errorf("parsed %+v (sequence %d)", s, m.seq)
		}
	}
}

// withInfo appends a struct tcp_info to an answer, after another attribute.
func withInfo(raw []byte, heard uint32) []byte {
	info := make([]byte, 104)
	binary.NativeEndian.PutUint32(info[infoHeard:], heard)
	raw = binary.NativeEndian.AppendUint16(raw, attrHeaderLen+1)
	raw = binary.NativeEndian.AppendUint16(raw, 8) // INET_DIAG_SHUTDOWN
	raw = append(raw, 1, 0, 0, 0)
	raw = binary.NativeEndian.AppendUint16(raw, uint16(attrHeaderLen+len(info)))
	raw = binary.NativeEndian.AppendUint16(raw, attrInfo)
	raw = append(raw, info...)
	binary.NativeEndian.PutUint32(raw, uint32(len(raw)))
	return raw
}

func TestParseInfo(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")
	raw := withInfo(rawSocket(unix.AF_INET, CloseWait, 0, a, b), 2500)
	m, rest, err := parse(raw)
	if err != nil || len(rest) != 0 || m.sock.Heard != 2500*time.Millisecond || m.sock.Inode != 4242 {
		t.Errorf("%+v, %d bytes left, %v", m.sock, len(rest), err)
	}
	for n := headerLen + sockLen; n < len(raw); n++ { // cut anywhere
		binary.NativeEndian.PutUint32(raw, uint32(n))
		if m, _, err := parse(raw[:n]); err != nil || m.sock.Heard != 0 {
			t.Fatalf("cut at %d: heard %v, %v", n, m.sock.Heard, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(rawSocket(unix.AF_INET, Established, 0, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")))
	f.Add(rawSocket(unix.AF_INET6, FinWait2, 3, netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2")))
	f.Add(withInfo(rawSocket(unix.AF_INET, CloseWait, 0, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")), 1))
	f.Add(appendRequest(nil, 1, unix.AF_INET, AllStates))
	f.Add(appendDump(nil, 1, AllStates, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := parse(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("parse took nothing from %d bytes", len(b))
			}
			_ = m.sock.State.String()
			b = rest
		}
	})
}
