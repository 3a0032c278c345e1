package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/internal/netlab"
)

func TestMain(m *testing.M) {
	if os.Getenv(lab.RoleEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

const namespacesHow = "run on Linux as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"

// commandline returns the command, not yet started.
func commandline(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := lab.Self(t.Context(), lab.RoleCommand, args...)
	if err != nil {
		t.Fatal(err)
	}
	// Without the race detector's second of sleep at the exit of each process.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// runJSON runs the command with -json and returns its report.
func runJSON(t *testing.T, args ...string) *report {
	t.Helper()
	cmd := commandline(t, append(args, "-json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("on standard error, which is no terminal: %s", &stderr)
	}
	return decode(t, out)
}

func decode(t *testing.T, out []byte) *report {
	t.Helper()
	r := &report{}
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	return r
}

// client returns the row of that name.
func (r *report) client(t *testing.T, name string) *row {
	t.Helper()
	i := slices.IndexFunc(r.Clients, func(w *row) bool { return w.Name == name })
	if i < 0 {
		t.Fatalf("no row for %s", name)
	}
	return r.Clients[i]
}

// checkServed checks what holds on every platform.
func (r *report) checkServed(t *testing.T) {
	t.Helper()
	if len(r.Clients) != len(contenders) {
		t.Errorf("%d rows for %d clients", len(r.Clients), len(contenders))
	}
	for _, w := range r.Clients {
		if w.Failures != 0 || w.FirstError != "" {
			t.Errorf("%s: %d failures: %s", w.Name, w.Failures, w.FirstError)
		}
		if w.Requests != r.Requests {
			t.Errorf("%s: %d requests done of %d", w.Name, w.Requests, r.Requests)
		}
		if w.Dialled == 0 || w.P50MS <= 0 || w.P99MS < w.P50MS || w.PerSecond <= 0 {
			t.Errorf("%s: has not been measured: %+v", w.Name, *w)
		}
	}
	if r.Account == nil {
		t.Fatal("no account of pool.Transport")
	}
	if r.Account.Balance != "" {
		t.Errorf("the account does not balance: %s", r.Account.Balance)
	}
}

// checkKernel checks the counts of a private namespace.
func (r *report) checkKernel(t *testing.T) {
	t.Helper()
	if !r.Exact {
		netlab.Missing(t, "a network namespace of its own ("+r.CountNote+")", namespacesHow)
	}
	for _, w := range r.Clients {
		if w.Here == nil || w.There == nil || w.AtLeast || w.Unsettled > 0 {
			t.Errorf("%s: was not counted to the end: %+v", w.Name, *w)
			return
		}
	}
	ours := r.client(t, "pool.Transport")
	if *ours.Here != 0 {
		t.Errorf("pool.Transport: %d TIME_WAITs on this side, want 0", *ours.Here)
	}
	if a := r.Account; a.Agrees == nil || !*a.Agrees {
		t.Errorf("pool.Transport says %d TIME_WAITs, the kernel %d", a.Stats.TimeWaits, *ours.Here)
	}
	if born := r.Account.Stats.Born; int(born) != ours.Dialled {
		t.Errorf("pool.Transport says %d connections, the server has accepted %d", born, ours.Dialled)
	}
}

func TestWorks(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		// stockPays is set where http.DefaultTransport is bound to close first.
		// It is not with TLS: the server answers close_notify with a FIN, and
		// who comes first is chance.
		stockPays bool
	}{
		{"burst", []string{"-work", "burst", "-bursts", "3", "-concurrency", "16"}, true},
		{"churn", []string{"-work", "churn", "-bursts", "5", "-requests", "15"}, true},
		{"unread", []string{"-work", "unread", "-bursts", "3", "-concurrency", "16"}, true},
		{"close", []string{"-work", "close", "-bursts", "3", "-concurrency", "16"}, false},
		{"idle", []string{"-work", "idle", "-bursts", "2", "-concurrency", "8"}, true},
		{"burst over TLS", []string{"-tls", "-bursts", "3", "-concurrency", "8"}, false},
		{"burst of HTTP2 over TLS", []string{"-tls", "-http2", "-bursts", "3", "-concurrency", "8"}, false},
		{"burst of HTTP2 in plaintext", []string{"-http2", "-bursts", "3", "-concurrency", "8"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runJSON(t, tc.args...)
			r.checkServed(t)
			r.checkKernel(t)
			if w := r.client(t, "http.DefaultTransport"); tc.stockPays && *w.Here == 0 {
				t.Errorf("http.DefaultTransport: no TIME_WAIT on this side, so there is nothing to compare with")
			}
		})
	}
}

// A server of the user's own is counted in the namespace that it is in.
func TestOwnServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("hello"))
	}))
	defer srv.Close()
	r := runJSON(t, "-url", srv.URL, "-bursts", "2", "-concurrency", "8")
	r.checkServed(t)
	if r.Exact {
		t.Error("a count in a shared namespace says that it is exact")
	}
	if r.Clients[0].Here == nil {
		netlab.Missing(t, "the kernel's count ("+r.CountNote+")", "run on Linux")
	}
	if w := r.client(t, "pool.Transport"); *w.Here != 0 || w.There == nil {
		t.Errorf("pool.Transport: %+v", *w)
	}
}

// The figures of a failing server are failures, not zeros.
func TestFailuresShow(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	out, err := commandline(t, "-url", srv.URL, "-bursts", "1", "-concurrency", "2").Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "2 failed; the first error: the server answers 404 Not Found"); n != len(contenders) {
		t.Errorf("%d clients' failures are shown, want %d:\n%s", n, len(contenders), out)
	}
}

func TestTextWithoutNamespace(t *testing.T) {
	out, err := commandline(t, "-namespace=false", "-bursts", "1", "-concurrency", "2").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"each client: 2 requests in 1 bursts, 2 at once", "own account", "balances"}
	if !strings.Contains(string(out), "not available on") { // as elsewhere than on Linux
		want = append(want, "-namespace=false")
	}
	for _, c := range contenders {
		want = append(want, "\n"+c.name+" ")
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-work", "play"}, {"-requests", "-1"}, {"-url", "ftp://127.0.0.1"}, {"-url", "http://"}, {"stray"}, {"-nope"},
	} {
		var stderr bytes.Buffer
		cmd := commandline(t, args...)
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != lab.ExitUsage || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, want %d; printed %q", args, code, lab.ExitUsage, &stderr)
		}
	}
}

func TestPercentile(t *testing.T) {
	var one, hundred tally
	one.add(time.Second, nil)
	for i := 100; i > 0; i-- {
		hundred.add(time.Duration(i), nil)
	}
	for _, tc := range []struct {
		t    *tally
		p    int
		want time.Duration
	}{
		{&tally{}, 50, 0}, {&one, 50, time.Second}, {&one, 99, time.Second}, {&hundred, 50, 50}, {&hundred, 99, 99},
	} {
		if got := tc.t.percentile(tc.p); got != tc.want {
			t.Errorf("p%d of %d: %v, want %v", tc.p, tc.t.done(), got, tc.want)
		}
	}
}

func TestShare(t *testing.T) {
	for _, tc := range []struct{ total, n int }{{10, 3}, {3, 10}, {64, 64}} {
		sum := 0
		for i := range tc.n {
			sum += share(tc.total, tc.n, i)
		}
		if sum != tc.total {
			t.Errorf("%d in %d parts: %d", tc.total, tc.n, sum)
		}
	}
}
