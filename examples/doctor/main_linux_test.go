package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
)

// fill makes n connections to a server that holds them.
func fill(t *testing.T, n int) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:8001")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); s.Close() })
	}
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// examine runs the command in both forms.
func examine(t *testing.T, wantCode int) (text string, report dialer.Report) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(nil, &out, &errs); code != wantCode || errs.Len() != 0 {
		t.Errorf("ended with %d, want %d; said %q", code, wantCode, errs.String())
	}
	text = out.String()
	out.Reset()
	if code := run([]string{"-json"}, &out, &errs); code != wantCode || errs.Len() != 0 {
		t.Errorf("-json ended with %d, want %d; said %q", code, wantCode, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Errorf("%v in\n%s", err, out.String())
	}
	return text, report
}

func TestKernelWell(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		addr := fill(t, 50)
		text, report := examine(t, exitWell)
		if !strings.HasPrefix(text, "All is well") || !strings.Contains(text, addr.String()) {
			t.Errorf("it prints\n%s", text)
		}
		if len(report.Advice) != 0 || len(report.Destinations) != 1 || report.Destinations[0].Used != 50 || report.Destinations[0].Address != addr {
			t.Errorf("the JSON says %+v", report)
		}
		if len(report.Holders) != 1 || report.Holders[0].PID != os.Getpid() {
			t.Errorf("held by %+v", report.Holders)
		}
	}, netlab.PortRange(40000, 40999))
}

func TestKernelRunningOut(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		addr := fill(t, 95)
		text, report := examine(t, exitRunningOut)
		if !strings.HasPrefix(text, "Something is RUNNING OUT") || !strings.Contains(text, "5 of 100 ports are left for connections to "+addr.String()) {
			t.Errorf("it prints\n%s", text)
		}
		if len(report.Advice) == 0 || report.Advice[0].Destination != addr || !report.RunningOut() {
			t.Errorf("the JSON says %+v", report.Advice)
		}
	}, netlab.PortRange(40000, 40099))
}

func TestWriteFails(t *testing.T) {
	var errs bytes.Buffer
	if code := run(nil, failing{}, &errs); code != exitUsage || !strings.Contains(errs.String(), "full") {
		t.Errorf("ended with %d, said %q", code, errs.String())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }
