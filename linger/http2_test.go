package linger

import (
	"bytes"
	"testing"
)

// FuzzHTTP2Word: however the peer's bytes are cut, the same is heard, and
// garbage is never taken for an acknowledgement.
func FuzzHTTP2Word(f *testing.F) {
	f.Add([]byte("garbage"), uint8(3), true)
	f.Add(append([]byte{0, 0, 8}, goawayHeader...), uint8(1), true)
	f.Add(bytes.Repeat([]byte{0, 0, 8, 6, 1}, 9), uint8(5), false)
	f.Fuzz(func(t *testing.T, noise []byte, cut uint8, ack bool) {
		whole, cutUp := newHTTP2Word(), newHTTP2Word()
		cutUp.ack = whole.ack
		said := noise
		if ack {
			said = append(bytes.Clone(noise), whole.ack[:]...)
		}
		whole.heard(said)
		for rest := said; len(rest) > 0; {
			n := min(len(rest), int(cut)+1)
			cutUp.heard(rest[:n])
			rest = rest[n:]
		}
		if whole.acked != ack || cutUp.acked != ack {
			t.Errorf("acknowledged: %t whole, %t cut up; want %t", whole.acked, cutUp.acked, ack)
		}
		if ack && whole.goaway != saysGoaway(noise) {
			t.Errorf("GOAWAY heard: %t", whole.goaway)
		}
		if whole.goaway != cutUp.goaway {
			t.Errorf("GOAWAY heard: %t whole, %t cut up", whole.goaway, cutUp.goaway)
		}
		if len(cutUp.tail) > 24 {
			t.Errorf("%d bytes are kept", len(cutUp.tail))
		}
	})
}

func TestHTTP2WordIsTwoFrames(t *testing.T) {
	w := newHTTP2Word()
	msg := w.message()
	if len(msg) != 34 || msg[2] != 8 || msg[3] != 7 || msg[17+2] != 8 || msg[17+3] != 6 || msg[17+4] != 0 {
		t.Errorf("GOAWAY and PING are %x", msg)
	}
	if !bytes.Equal(msg[17+9:], w.ack[9:]) {
		t.Error("the PING and its acknowledgement differ")
	}
}

// The last byte of a stream's number and what follows may look like the header of
// a GOAWAY frame.
func TestNoGoaway(t *testing.T) {
	for name, tt := range map[string]struct {
		said []byte
		want bool
	}{
		"RST_STREAM of stream 7": {[]byte{0, 0, 4, 3, 0, 0, 0, 0, 7, 0, 0, 0, 0}, false},
		"nothing in stream 7":    {[]byte{0, 0, 5, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0}, false},
		"GOAWAY":                 {[]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0}, true},
		"GOAWAY with words":      {append([]byte{0, 0, 11, 7, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0}, "bye"...), true},
	} {
		w := newHTTP2Word()
		w.heard(append(tt.said, w.ack[:]...))
		if !w.acked || w.goaway != tt.want {
			t.Errorf("%s: acknowledged %t, GOAWAY %t; want %t", name, w.acked, w.goaway, tt.want)
		}
	}
}
