package grpcpool

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// A script is a hearer that writes down what it hears.
type script struct{ lines []string }

func (s *script) settings(n uint32) { s.lines = append(s.lines, fmt.Sprintf("settings %d", n)) }
func (s *script) goAway(code uint32, debug string) {
	s.lines = append(s.lines, fmt.Sprintf("goaway %d %q", code, debug))
}
func (s *script) closed() { s.lines = append(s.lines, "closed") }

// rawFrame returns an HTTP/2 frame.
func rawFrame(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}, payload...)
}

// setting returns one entry of a SETTINGS frame.
func setting(id uint16, v uint32) []byte {
	return []byte{byte(id >> 8), byte(id), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

func settingsFrame(settings ...[]byte) []byte {
	return rawFrame(typeSettings, 0, 0, slices.Concat(settings...)...)
}

func goAwayFrame(code uint32, debug string) []byte {
	fixed := []byte{0, 0, 0, 7, byte(code >> 24), byte(code >> 16), byte(code >> 8), byte(code)}
	return rawFrame(typeGoAway, 0, 0, append(fixed, debug...)...)
}

var (
	ackFrame  = rawFrame(typeSettings, flagAck, 0)
	dataFrame = rawFrame(0, 1, 1, make([]byte, 1000)...)
	emptyData = rawFrame(0, 1, 1)
	pingFrame = rawFrame(6, 0, 0, settingsFrame(nil)[:8]...)
)

var streams = []struct {
	name string
	sent []byte
	want []string
}{
	{"nothing", nil, nil},
	{"no limit", settingsFrame(), []string{"settings 4294967295"}},
	{"other settings", settingsFrame(setting(1, 4096), setting(5, 1<<14)), []string{"settings 4294967295"}},
	{"a limit", settingsFrame(setting(5, 1<<14), setting(idMaxStreams, 7), setting(6, 1)), []string{"settings 7"}},
	{"the last of two counts", settingsFrame(setting(idMaxStreams, 7), setting(idMaxStreams, 8)), []string{"settings 8"}},
	{"none at all", settingsFrame(setting(idMaxStreams, 0)), []string{"settings 0"}},
	{
		"a limit that changes",
		slices.Concat(settingsFrame(setting(idMaxStreams, 7)), ackFrame, dataFrame, emptyData,
			settingsFrame(setting(idMaxStreams, 7)), settingsFrame(), settingsFrame(setting(4, 9)), pingFrame,
			settingsFrame(setting(idMaxStreams, 100)), settingsFrame(setting(idMaxStreams, math.MaxUint32))),
		[]string{"settings 7", "settings 100", "settings 4294967295"},
	},
	{
		"shutdown",
		slices.Concat(settingsFrame(), goAwayFrame(0, ""), pingFrame, goAwayFrame(0, "graceful_stop"), dataFrame,
			settingsFrame(setting(idMaxStreams, 1))),
		[]string{"settings 4294967295", `goaway 0 ""`, `goaway 0 "graceful_stop"`, "settings 1"},
	},
	{
		"long debug data",
		slices.Concat(settingsFrame(), goAwayFrame(11, strings.Repeat("x", 5000)), goAwayFrame(2, strings.Repeat("y", maxDebug))),
		[]string{"settings 4294967295", "goaway 11 " + fmt.Sprintf("%q", strings.Repeat("x", maxDebug)),
			"goaway 2 " + fmt.Sprintf("%q", strings.Repeat("y", maxDebug))},
	},
	{
		"the reserved bit is ignored",
		rawFrame(typeSettings, 0, 1<<31, setting(idMaxStreams, 5)...),
		[]string{"settings 5"},
	},
	{
		"frames within data",
		slices.Concat(settingsFrame(), rawFrame(0, 0, 1, goAwayFrame(1, "no")...), rawFrame(9, 0, 0, settingsFrame(setting(idMaxStreams, 1))...)),
		[]string{"settings 4294967295"},
	},

	{"HTTP/1.1", []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), nil},
	{"data first", slices.Concat(dataFrame, settingsFrame()), nil},
	{"an acknowledgement first", slices.Concat(ackFrame, settingsFrame()), nil},
	{"settings of a stream", slices.Concat(settingsFrame(), rawFrame(typeSettings, 0, 1), goAwayFrame(1, "")), []string{"settings 4294967295"}},
	{"half a setting", slices.Concat(settingsFrame(), rawFrame(typeSettings, 0, 0, 1, 2, 3), goAwayFrame(1, "")), []string{"settings 4294967295"}},
	{"an acknowledgement of something", slices.Concat(settingsFrame(), rawFrame(typeSettings, flagAck, 0, setting(3, 1)...), goAwayFrame(1, "")), []string{"settings 4294967295"}},
	{"a short GOAWAY", slices.Concat(settingsFrame(), rawFrame(typeGoAway, 0, 0, 1, 2, 3), goAwayFrame(1, "")), []string{"settings 4294967295"}},
	{"a GOAWAY of a stream", slices.Concat(settingsFrame(), rawFrame(typeGoAway, 0, 3, make([]byte, 8)...), goAwayFrame(1, "")), []string{"settings 4294967295"}},
	{"half a frame", settingsFrame(setting(idMaxStreams, 5))[:14], nil},
	{"half a GOAWAY", slices.Concat(settingsFrame(), goAwayFrame(1, "debug")[:19]), []string{"settings 4294967295"}},
}

func TestFrames(t *testing.T) {
	for _, s := range streams {
		t.Run(s.name, func(t *testing.T) {
			for size := 1; size <= max(1, len(s.sent)); size++ {
				var f frames
				var heard script
				for piece := range slices.Chunk(s.sent, size) {
					f.hear(piece, &heard)
				}
				if !slices.Equal(heard.lines, s.want) {
					t.Fatalf("in pieces of %d: heard %q, want %q", size, heard.lines, s.want)
				}
			}
		})
	}
}

// plainly is frames written so that nothing can go wrong: on the whole stream.
func plainly(p []byte) (lines []string) {
	limit, begun := uint32(0), false
	for len(p) >= 9 {
		n := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		kind, flags := p[3], p[4]
		onStream := !bytes.Equal(p[5:9], make([]byte, 4)) && !bytes.Equal(p[5:9], []byte{0x80, 0, 0, 0})
		whole := len(p) >= 9+n
		payload := p[9:min(9+n, len(p))]
		p = p[9+len(payload):]
		switch {
		case kind == 4 && flags&1 == 0 && !onStream && n%6 == 0:
			if !whole {
				return lines
			}
			now := limit
			if !begun {
				now = math.MaxUint32
			}
			for s := range slices.Chunk(payload, 6) {
				if s[0] == 0 && s[1] == 3 {
					now = uint32(s[2])<<24 | uint32(s[3])<<16 | uint32(s[4])<<8 | uint32(s[5])
				}
			}
			if !begun || now != limit {
				lines = append(lines, fmt.Sprintf("settings %d", now))
			}
			begun, limit = true, now
		case !begun:
			return lines
		case kind == 4 && (onStream || n > 0):
			return lines
		case kind == 7 && (onStream || n < 8):
			return lines
		case kind == 7 && whole:
			code := uint32(payload[4])<<24 | uint32(payload[5])<<16 | uint32(payload[6])<<8 | uint32(payload[7])
			lines = append(lines, fmt.Sprintf("goaway %d %q", code, payload[8:min(n, 8+maxDebug)]))
		}
	}
	return lines
}

// However the bytes are cut, the same is heard, and it is what the plain way hears.
func FuzzFrames(f *testing.F) {
	for i, s := range streams {
		f.Add(s.sent, uint64(i*7919))
	}
	f.Fuzz(func(t *testing.T, sent []byte, cuts uint64) {
		want := plainly(sent)
		var f frames
		var heard script
		for i, rest := 0, sent; len(rest) > 0; i++ {
			n := min(len(rest), int(cuts>>(i%16*4)&15))
			if n == 15 {
				n = len(rest) / 2
			}
			f.hear(rest[:n], &heard)
			rest = rest[n:]
			if n == 0 {
				f.hear(rest[:1], &heard)
				rest = rest[1:]
			}
		}
		if !slices.Equal(heard.lines, want) {
			t.Fatalf("in pieces: heard %q, want %q", heard.lines, want)
		}
	})
}

func TestFramesAllocateNothing(t *testing.T) {
	f, h := new(frames), new(mute)
	f.hear(settingsFrame(), h)
	read := slices.Concat(rawFrame(1, 4, 1, make([]byte, 14)...), rawFrame(0, 0, 1, make([]byte, 40)...), rawFrame(1, 5, 1, make([]byte, 24)...))
	if n := testing.AllocsPerRun(100, func() { f.hear(read, h) }); n > 0 {
		t.Errorf("%v allocations for each read", n)
	}
}

// A mute hearer hears and says nothing.
type mute struct{}

func (*mute) settings(uint32)       {}
func (*mute) goAway(uint32, string) {}
func (*mute) closed()               {}

// One read with the answer to a call: HEADERS, DATA, HEADERS.
func BenchmarkFrames(b *testing.B) {
	f, h := new(frames), new(mute)
	f.hear(settingsFrame(), h)
	read := slices.Concat(rawFrame(1, 4, 1, make([]byte, 14)...), rawFrame(0, 0, 1, make([]byte, 40)...), rawFrame(1, 5, 1, make([]byte, 24)...))
	b.ReportAllocs()
	for b.Loop() {
		f.hear(read, h)
	}
}
