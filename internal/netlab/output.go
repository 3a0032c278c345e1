package netlab

import (
	"bytes"
	"io"
	"strings"
)

// passOn gives the lines of a test process to its parent's log, without those
// that the parent prints itself.
type passOn struct {
	to   io.Writer
	rest []byte // of a line that has no end yet
}

func (p *passOn) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		end := bytes.IndexByte(p.rest, '\n')
		if end < 0 {
			return len(b), nil
		}
		p.line(string(p.rest[:end]))
		p.rest = p.rest[end+1:]
	}
}

// flush passes on a last line without an end.
func (p *passOn) flush() {
	if len(p.rest) > 0 {
		p.line(string(p.rest))
		p.rest = nil
	}
}

func (p *passOn) line(s string) {
	trimmed := strings.TrimLeft(s, " ")
	for _, frame := range []string{"=== ", "--- PASS: ", "--- FAIL: ", "--- SKIP: ", "coverage: "} {
		if strings.HasPrefix(trimmed, frame) {
			return
		}
	}
	if s == "PASS" || s == "FAIL" {
		return
	}
	io.WriteString(p.to, s+"\n")
}
