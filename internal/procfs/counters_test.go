package procfs

import (
	"strings"
	"testing"
)

const someCounters = `TcpExt: SyncookiesSent TW TWRecycled
TcpExt: 0 7 1
Tcp: MaxConn ActiveOpens
Tcp: -1 3
`

func TestCountersParse(t *testing.T) {
	c := Counters{}
	if err := c.parse(strings.NewReader(someCounters)); err != nil {
		t.Fatal(err)
	}
	if c["TcpExtTW"] != 7 || c["TcpMaxConn"] != -1 {
		t.Errorf("%v", c)
	}
	if got, want := c.String(), "TcpActiveOpens=3 TcpExtTW=7 TcpExtTWRecycled=1 TcpMaxConn=-1"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	since := c.Since(Counters{"TcpExtTW": 5, "TcpMaxConn": -1})
	if since["TcpExtTW"] != 2 || len(since) != 3 {
		t.Errorf("since: %v", since)
	}
}

func TestCountersParseErrors(t *testing.T) {
	for _, bad := range []string{
		"no group\n",
		"TcpExt: TW\n",                  // no values
		"TcpExt: TW\nIpExt: 1\n",        // of another group
		"TcpExt: TW Other\nTcpExt: 1\n", // too few
		"TcpExt: TW\nTcpExt: one\n",
	} {
		if err := (Counters{}).parse(strings.NewReader(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func FuzzCountersParse(f *testing.F) {
	f.Add(someCounters)
	f.Add("TcpExt: TW\nTcpExt:")
	f.Fuzz(func(t *testing.T, s string) {
		c := Counters{}
		if c.parse(strings.NewReader(s)) != nil {
			return
		}
		if grown := c.Since(c); len(grown) != 0 {
			t.Errorf("grown since now: %v", grown)
		}
		_ = c.String()
	})
}
