package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics/debug"
)

// answerWithin is how long anything may take that the browser is asked for. It
// bounds a test that has failed, and judges none that has not.
const answerWithin = 60 * time.Second

// A browser is a Chromium that all tests share; each has a tab of its own.
var browser struct {
	once sync.Once
	ctx  context.Context
	end  func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.end != nil {
		browser.end()
	}
	os.Exit(code)
}

func startBrowser(t *testing.T) context.Context {
	t.Helper()
	if underRace && t.Name() != "TestLive" {
		t.Skip("how it looks is the same without the race detector; TestLive is for it")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		netlab.Missing(t, "Chromium", "apt-get install chromium")
	}
	browser.once.Do(func() {
		dir, err := os.MkdirTemp("", "lastack-chromium-")
		if err != nil {
			browser.err = err
			return
		}
		options := []chromedp.ExecAllocatorOption{
			chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Headless,
			chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WSURLReadTimeout(answerWithin),
		}
		for _, flag := range []string{
			"no-sandbox", "disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update",
			"disable-sync", "disable-extensions", "disable-dev-shm-usage", "hide-scrollbars",
		} {
			options = append(options, chromedp.Flag(flag, true))
		}
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, endBrowser := chromedp.NewContext(allocator)
		browser.ctx, browser.err = ctx, chromedp.Do(ctx)
		browser.end = func() {
			endBrowser()
			endAllocator()
			os.RemoveAll(dir)
		}
	})
	if browser.err != nil {
		t.Fatal(browser.err)
	}
	return browser.ctx
}

// A tab is one page in the browser, with all that it complained about and all
// that it asked for.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string
	asked    []string
}

// A step is one thing to do in a tab.
type step = chromedp.Action[chromedp.Void]

// open makes a tab and opens url in it after the given preparations.
func open(t *testing.T, url string, prepare ...step) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(startBrowser(t))
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	b.do(prepare...)
	b.do(chromedp.Navigate(url))
	return b
}

// command makes a step of a command of the browser's protocol.
func command[P any](c cdp.Command[P, cdp.Empty], params P) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, params)
		return chromedp.Void{}, err
	}
}

// hear notes what the browser reports: errors, violations of the policy, and
// requests.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.troubles = append(b.troubles, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *log.EventEntryAdded:
		b.troubles = append(b.troubles, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

func (b *tab) do(steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, answerWithin)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what an expression of JavaScript is in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, answerWithin)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	netlab.Eventually(b.t, answerWithin, what, func() bool { return eval[bool](b, expression) })
}

// calm fails the test if the browser has complained, or asked another server
// for anything.
func (b *tab) calm(server string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, trouble := range b.troubles {
		b.t.Error(trouble)
	}
	for _, url := range b.asked {
		if !strings.HasPrefix(url, server) {
			b.t.Errorf("it asks for %s", url)
		}
	}
	if len(b.asked) == 0 {
		b.t.Error("it asks for nothing, so this proves nothing")
	}
}

// complained reports whether one of the browser's complaints contains a word.
func (b *tab) complained(word string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.troubles, func(s string) bool { return strings.Contains(s, word) })
}

// shoot keeps a picture where LASTACK_SCREENSHOTS says, for people to look at.
func (b *tab) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("LASTACK_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, answerWithin)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// screen sets the size of the screen, and dark or light.
func screen(width int64, scheme string) []step {
	return []step{
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
	}
}

func withoutScript() step {
	return command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// serve serves a page below a path of its own, and returns where.
func serve(t *testing.T, c debug.Config) (url string, server *httptest.Server) {
	t.Helper()
	handler, err := debug.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handler.Close() })
	mux := http.NewServeMux()
	mux.Handle("/some/where/lastack/", handler)
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/some/where/lastack/", server
}
