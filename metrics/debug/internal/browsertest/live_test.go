package browsertest

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/metrics/debug/internal/sample"
)

// TestLive: the numbers follow the accounts without a reload, what was opened
// stays open, what is not there any more goes, and the focus stays where it is.
func TestLive(t *testing.T) {
	t.Parallel()
	var waiting atomic.Int64
	accounts := debug.Func(func() metrics.Snapshot {
		s := metrics.Snapshot{Requests: 1, Waiting: waiting.Load()}
		for i := range waiting.Load() % 10 {
			s.Hosts = append(s.Hosts, metrics.HostSnapshot{Name: "host" + string(rune('a'+i)) + ":80"})
		}
		return s
	})
	url, server := serve(t, debug.Config{Sources: []debug.Source{{Name: "x", Accounts: accounts}}, Diagnose: sample.CalmMachine})
	b := open(t, url, screen(1280, "light")...)
	shown := func(n string) string {
		return `[...document.querySelectorAll("#now dt")].find(e => e.textContent === "waiting").nextElementSibling.textContent.includes("` + n + `")`
	}
	b.until("nobody waits", shown("0"))
	b.do(chromedp.Click(chromedp.CSS("#receipt summary")), chromedp.Focus(chromedp.CSS("#now summary")))
	eval[bool](b, `(window.mine = document.querySelector("#now summary")) !== null`)
	for _, n := range []struct {
		n     int64
		shown string
		rows  string
	}{{4003, "4,003", "3"}, {5009, "5,009", "9"}, {6001, "6,001", "1"}} {
		waiting.Store(n.n)
		b.until(n.shown+" wait", shown(n.shown))
		b.until("its hosts", `document.querySelectorAll("#hosts tbody tr").length === `+n.rows)
	}
	waiting.Store(0)
	b.until("no host is left", `document.querySelector("#hosts table") === null && document.querySelector("#hosts .note") !== null`)
	if !eval[bool](b, `document.querySelector("#receipt details.about").open`) {
		t.Error("what was opened has closed")
	}
	if !eval[bool](b, `document.activeElement === window.mine`) {
		t.Error("the focus has gone elsewhere")
	}
	b.calm(server.URL)
}

// TestServerGoes: the page says that the server is gone, keeps what it showed,
// and goes on when it is back.
func TestServerGoes(t *testing.T) {
	t.Parallel()
	handler, err := debug.New(calm())
	if err != nil {
		t.Fatal(err)
	}
	defer handler.Close()
	start := func(address string) (*http.Server, string) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: handler}
		go srv.Serve(l)
		return srv, l.Addr().String()
	}
	srv, address := start("127.0.0.1:0")
	b := open(t, "http://"+address+"/", screen(1280, "light")...)
	b.until("the page is live", `document.getElementById("live").className === "on"`)
	srv.Close()
	b.until("it says that the server is gone", `document.getElementById("live").className === "off"`)
	if got := eval[string](b, `document.getElementById("live").textContent`); !strings.Contains(got, "No answer since") {
		t.Errorf("it says %q", got)
	}
	if !eval[bool](b, `document.querySelectorAll("#hosts tbody tr").length === 3`) {
		t.Error("what it showed is gone too")
	}
	b.shoot("page-gone")
	srv, _ = start(address)
	defer srv.Close()
	b.until("it goes on", `document.getElementById("live").className === "on"`)
}

// TestWithoutScript: all of the page is there, and says how old it is.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	url, server := serve(t, trouble())
	b := open(t, url, append(screen(1280, "light"), withoutScript())...)
	for _, id := range sections {
		if !eval[bool](b, `document.querySelector("section#`+id+`") !== null`) {
			t.Errorf("no section %q", id)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("figure svg.plot path.line, figure svg.plot .area").length`); n < 20 {
		t.Errorf("%d lines and bars are drawn", n)
	}
	if got := eval[string](b, `document.getElementById("live").textContent`); !strings.Contains(got, "reload") {
		t.Errorf("it says %q", got)
	}
	// Choosing is by links.
	b.do(chromedp.Click(chromedp.CSS(`nav a[href*="pool=search"]`)))
	b.until("the other pool", `document.querySelector("h1")?.textContent === "lastack: search"`)
	b.calm(server.URL)
}

// TestHostile: names that are an attacker's do nothing, and the policy would
// stop what did.
func TestHostile(t *testing.T) {
	t.Parallel()
	const name = `"><script>window.owned=1</script><img src=x onerror="window.owned=1"><a style="color:red" onclick=x>`
	url, server := serve(t, debug.Config{Sources: []debug.Source{{Name: name, Accounts: sample.Hostile(name)}}, Diagnose: sample.FullMachine})
	b := open(t, url, screen(1280, "light")...)
	b.until("the page is live", `document.getElementById("live").className === "on"`)
	if eval[bool](b, `window.owned !== undefined || document.querySelector("main img, main script, main [style], main [onclick]") !== null`) {
		t.Error("a name has become a part of the page")
	}
	b.calm(server.URL)
	eval[bool](b, `(document.body.append(Object.assign(document.createElement("script"), {textContent: "window.owned = 1"})), true)`)
	eval[bool](b, `(document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.1:1/x' onerror='window.owned=1'>"), true)`)
	b.until("the policy has spoken", `true`)
	if eval[bool](b, `window.owned !== undefined`) {
		t.Error("the policy lets scripts in the page run")
	}
	if !b.complained("Content Security Policy") {
		t.Error("no complaint about what the policy forbids, so calm proves nothing")
	}
}
