package debug_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/metrics/debug/internal/sample"
	"github.com/lastack/lastack/pool"
)

// page makes a Page of sources for the time of a test.
func page(t testing.TB, c debug.Config) *debug.Page {
	t.Helper()
	if c.Sources == nil {
		c.Sources = []debug.Source{{Name: "payments", Accounts: sample.Calm()}}
	}
	if c.Diagnose == nil {
		c.Diagnose = sample.CalmMachine
	}
	p, err := debug.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// ask sends a request as a browser on this machine would.
func ask(h http.Handler, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:6060"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestWhoMaySee: only clients of this machine, who meant this machine.
func TestWhoMaySee(t *testing.T) {
	p := page(t, debug.Config{})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"localhost":                {host("localhost"), 200},
		"localhost and a port":     {host("LocalHost.:6060"), 200},
		"a name below localhost":   {host("web.localhost:80"), 200},
		"an IPv4 address":          {host("127.8.9.10:6060"), 200},
		"an IPv6 address":          {host("[::1]:6060"), 200},
		"an IPv6 address, no port": {host("[::1]"), 200},
		"from IPv6":                {from("[::1]:40000"), 200},
		"from IPv4 in IPv6":        {from("[::ffff:127.0.0.1]:40000"), 200},
		"a link that was followed": {func(r *http.Request) {
			header("Sec-Fetch-Site", "cross-site")(r)
			header("Sec-Fetch-Mode", "navigate")(r)
		}, 200},
		"by itself":                 {header("Sec-Fetch-Site", "same-origin"), 200},
		"a name of the attacker's":  {host("rebind.attacker.example:6060"), 403},
		"a name that only looks so": {host("notlocalhost"), 403},
		"localhost in the middle":   {host("localhost.attacker.example"), 403},
		"the address for all":       {host("0.0.0.0:6060"), 403},
		"no host":                   {host(""), 403},
		"two ports":                 {host("localhost:1:2"), 403},
		"from elsewhere":            {from("10.0.0.1:40000"), 403},
		"from elsewhere, by IPv6":   {from("[2001:db8::1]:40000"), 403},
		"from a Unix socket":        {from("@"), 403},
		"from nowhere":              {from(""), 403},
		"through a proxy":           {header("X-Forwarded-For", "10.0.0.1"), 403},
		"through another":           {header("Forwarded", "for=10.0.0.1"), 403},
		"through one with a name":   {header("Via", "1.1 gateway"), 403},
		"through one to TLS":        {header("X-Forwarded-Proto", "https"), 403},
		"asked for by another site": {func(r *http.Request) {
			header("Sec-Fetch-Site", "cross-site")(r)
			header("Sec-Fetch-Mode", "no-cors")(r)
		}, 403},
	} {
		for _, target := range []string{"/", "/?format=json", "/?format=text", "/?asset=page.js"} {
			if got := ask(p, "GET", target, tt.change).Code; got != tt.want {
				t.Errorf("%s, %s: %d, want %d", name, target, got, tt.want)
			}
		}
	}
	open := page(t, debug.Config{Allow: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer x" }})
	if got := ask(open, "GET", "/", from("10.0.0.1:1"), host("example.com"), header("Authorization", "Bearer x")).Code; got != 200 {
		t.Errorf("allowed: %d", got)
	}
	if got := ask(open, "GET", "/").Code; got != 403 {
		t.Errorf("not allowed, from this machine: %d", got)
	}
}

// TestChangesNothing: no method but those that ask is answered.
func TestChangesNothing(t *testing.T) {
	p := page(t, debug.Config{})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		w := ask(p, method, "/")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
	}
	get, head := ask(p, "GET", "/?asset=page.css"), ask(p, "HEAD", "/?asset=page.css")
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
		t.Errorf("HEAD: %d with %d bytes, %v", head.Code, head.Body.Len(), head.Header())
	}
}

// TestHeaders: whatever the answer is, a browser is told to trust nothing in it.
func TestHeaders(t *testing.T) {
	p := page(t, debug.Config{})
	for target, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/any/where": "text/html; charset=utf-8",
		"/?format=text": "text/plain; charset=utf-8", "/?format=json": "application/json",
		"/?asset=page.css": "text/css; charset=utf-8", "/?asset=page.js": "text/javascript; charset=utf-8",
		"/?asset=icon.svg": "image/svg+xml", "/?asset=../page.go": "text/plain; charset=utf-8", "/?format=x": "text/plain; charset=utf-8",
	} {
		h := ask(p, "GET", target).Header()
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: no %q in %q", target, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
			h.Get("Content-Type") != kind {
			t.Errorf("%s: %v", target, h)
		}
	}
	if got := ask(p, "GET", "/?asset=../page.go").Code; got != 404 {
		t.Errorf("an asset that is none: %d", got)
	}
	if got := ask(p, "GET", "/?format=x").Code; got != 400 {
		t.Errorf("a format that is none: %d", got)
	}
}

// TestFormsAgree: the page, the text and the JSON say the same.
func TestFormsAgree(t *testing.T) {
	accounts := sample.Trouble()
	p := page(t, debug.Config{
		Sources:  []debug.Source{{Name: "payments", Accounts: accounts}, {Name: "search", Accounts: sample.Calm()}},
		Diagnose: sample.FullMachine,
	})
	html, text := ask(p, "GET", "/").Body.String(), ask(p, "GET", "/?format=text").Body.String()
	for _, want := range []string{
		"To act on", "TIME_WAIT sockets: did, and would have", "which any client multiplexes.", "net/http", "a connection per request", "before (10 idle)",
		"Kernel check", "1,190 TIME_WAITs", "tightest port budget", "91.0 %", "10.0.3.9:443", "TIME_WAITs that stand", "Connections, by what they do",
		"How connections ended", "Dial time", "limit: 28,232 ports", "api.internal:443", "all_busy", "local_first", "75 s, it says", "5 s, learned",
		"What if", "Sockets and ports", "time_wait", "25,204", "main.go:42 fetchUser", "The last connections", "port 40037", "server_close",
		"net.ipv4.tcp_tw_reuse", "TcpExtTW", "Pools", "search", "were forgotten since the beginning",
	} {
		if !strings.Contains(html, strings.ReplaceAll(want, "'", "&#39;")) {
			t.Errorf("no %q on the page", want)
		}
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the text", want)
		}
	}
	var data struct {
		Sources []struct {
			Name     string
			Snapshot metrics.Snapshot
			Kernel   metrics.Reconciliation `json:"reconciliation"`
			Lives    []metrics.Life
			History  []map[string]any
		}
		Machine struct{ Ports struct{ Usable int } }
	}
	if err := json.Unmarshal(ask(p, "GET", "/?format=json").Body.Bytes(), &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Sources) != 2 || data.Machine.Ports.Usable != 28232 {
		t.Fatalf("%+v", data)
	}
	one := data.Sources[0]
	if one.Name != "payments" || one.Kernel.Agrees || len(one.Lives) != 40 || len(one.History) < 180 || len(one.Snapshot.Hosts) != 3 {
		t.Errorf("%s: %+v, %d lives, %d samples, %d hosts", one.Name, one.Kernel, len(one.Lives), len(one.History), len(one.Snapshot.Hosts))
	}
}

// TestChoices: the query chooses the pool, the time and the host, and what is
// not there is taken as not asked for.
func TestChoices(t *testing.T) {
	p := page(t, debug.Config{Sources: []debug.Source{
		{Name: "payments", Accounts: sample.Calm()}, {Name: "a&b", Accounts: sample.Trouble()},
	}})
	for target, want := range map[string]string{
		"/":                         "<h1>lastack: payments</h1>",
		"/?pool=a%26b":              "<h1>lastack: a&amp;b</h1>",
		"/?pool=none":               "<h1>lastack: payments</h1>",
		"/?window=1m":               ">The last 1 min<",
		"/?window=5m":               ">The last 5 min<",
		"/?window=x":                ">The last 15 min<",
		"/?host=ledger.internal:80": "to keep at rest, for ledger.internal:80<",
		"/?host=none":               "to keep at rest, for api.internal:443<",
		"/?window=5m&pool=payments": `href="?pool=a%26b&amp;window=5m"`,
	} {
		if body := ask(p, "GET", target).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s: no %s", target, want)
		}
	}
	if body := ask(p, "GET", "/any/where/").Body.String(); strings.Contains(body, `href="/`) || strings.Contains(body, `src="/`) {
		t.Error("a link that holds at one place only")
	}
}

// TestNothingYet: what is empty says why.
func TestNothingYet(t *testing.T) {
	p := page(t, debug.Config{
		Sources: []debug.Source{{Name: "new", Accounts: &metrics.Meter{}}, {Name: "old", Accounts: debug.Func(func() metrics.Snapshot { return metrics.Snapshot{} })}},
	})
	for _, target := range []string{"/?pool=new&format=text", "/?pool=old&format=text"} {
		body := ask(p, "GET", target).Body.String()
		for _, want := range []string{
			"No request yet", "No host yet", "No connection has ended", "There is no curve yet", "None: every response body was closed",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in\n%s", target, want, body)
			}
		}
	}
}

// TestNew refuses what would be a riddle later.
func TestNew(t *testing.T) {
	meter := &metrics.Meter{}
	for name, sources := range map[string][]debug.Source{
		"none":        nil,
		"no Accounts": {{Name: "x"}},
		"a nil Meter": {{Name: "x", Accounts: (&pool.Transport{}).Meter}},
		"a nil Func":  {{Name: "x", Accounts: debug.Func(nil)}},
		"same name":   {{Name: "x", Accounts: meter}, {Name: "x", Accounts: meter}},
	} {
		if p, err := debug.New(debug.Config{Sources: sources}); err == nil {
			p.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// TestClose ends the goroutine, whoever asks meanwhile.
func TestClose(t *testing.T) {
	check := netlab.Leaks(t)
	p := page(t, debug.Config{})
	srv := httptest.NewServer(p)
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	p.Close()
	p.Close()
	if got := ask(p, "GET", "/").Code; got != http.StatusServiceUnavailable {
		t.Errorf("closed: %d", got)
	}
	srv.Close()
	check()
}

// TestKernelLongAgo: what the kernel said when somebody else asked it does not
// pass for what it says now.
func TestKernelLongAgo(t *testing.T) {
	for ago, want := range map[time.Duration]bool{2 * time.Second: false, 3*time.Hour + 12*time.Minute: true} {
		s := metrics.Snapshot{Kernel: metrics.Reconciliation{Checked: true, Agrees: true, At: time.Now().Add(-ago)}}
		p := page(t, debug.Config{Sources: []debug.Source{{Name: "x", Accounts: debug.Func(func() metrics.Snapshot { return s })}}})
		text := ask(p, "GET", "/?format=text").Body.String()
		if !strings.Contains(text, "Kernel check: agrees.") || strings.Contains(text, "It was asked 3 h 12 min ago.") != want {
			t.Errorf("asked %v ago:\n%s", ago, text)
		}
	}
}
