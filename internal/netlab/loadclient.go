package netlab

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// A ClientProgram is a program that makes requests.
type ClientProgram struct{ Name, install string }

// The programs that the tests of servers have for clients.
var (
	Curl   = ClientProgram{"curl", "apt-get install curl"}
	Wrk    = ClientProgram{"wrk", "apt-get install wrk"}
	H2load = ClientProgram{"h2load", "apt-get install nghttp2-client"}
)

// Client returns a command, not yet started, that runs the program in the lab.
// It does not outlive the test.
func (*Lab) Client(t testing.TB, p ClientProgram, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, p.Name, p.install), args...)
	cmd.Dir = t.TempDir()
	dieWithParent(cmd)
	t.Cleanup(func() { end(cmd) })
	return cmd
}

// A Tally is what a load generator says of its requests at the end.
type Tally struct {
	Whole     int     // responses that came whole, of whatever status
	Refused   int     // those of them whose status was neither 2xx nor 3xx
	Connect   int     // connections that could not be made; wrk only
	Broken    int     // requests that were begun and got no whole response
	PerSecond float64 // responses
}

// ReadTally reads what [Wrk] or [H2load] has printed.
func ReadTally(p ClientProgram, printed []byte) (Tally, error) {
	r := reader{printed: printed}
	var t Tally
	switch p {
	case Wrk:
		t.Whole = r.number(`(\d+) requests in`)
		t.PerSecond = r.real(`Requests/sec:\s+([\d.]+)`)
		if bytes.Contains(printed, []byte("Socket errors")) {
			t.Connect = r.number(`Socket errors: connect (\d+)`)
			t.Broken = r.number(`Socket errors: .*read (\d+)`) + r.number(`Socket errors: .*write (\d+)`) +
				r.number(`Socket errors: .*timeout (\d+)`)
		}
		if bytes.Contains(printed, []byte("Non-2xx")) {
			t.Refused = r.number(`Non-2xx or 3xx responses: (\d+)`)
		}
	case H2load:
		// "failed" counts what was answered with another status as well.
		t.Refused = r.number(`status codes: .* (\d+) 4xx`) + r.number(`status codes: .* (\d+) 5xx`)
		t.Whole = r.number(`requests: .* (\d+) succeeded`) + t.Refused
		t.Broken = r.number(`requests: .* (\d+) failed`) - t.Refused
		t.PerSecond = r.real(`finished in .*, ([\d.]+) req/s`)
	default:
		return t, fmt.Errorf("netlab: %s prints no tally", p.Name)
	}
	return t, r.err
}

// A reader finds numbers in what a program has printed.
type reader struct {
	printed []byte
	err     error
}

func (r *reader) number(pattern string) int { return int(r.real(pattern)) }

func (r *reader) real(pattern string) float64 {
	found := regexp.MustCompile(pattern).FindSubmatch(r.printed)
	if found == nil {
		r.err = fmt.Errorf("netlab: no %q in:\n%s", pattern, r.printed)
		return 0
	}
	f, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		r.err = fmt.Errorf("netlab: %w in:\n%s", err, r.printed)
	}
	return f
}
