package pool

import (
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The table of defaults in the package comment, and that in the README, say what
// the program does.
func TestDefaultsTable(t *testing.T) {
	var ours Transport
	if err := ours.init(); err != nil {
		t.Fatal(err)
	}
	c, stock := &ours.cfg, http.DefaultTransport.(*http.Transport)
	number := func(n int) string {
		if n == 0 {
			return "unlimited"
		}
		return strconv.Itoa(n)
	}
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) + " s" }
	yes := map[bool]string{true: "yes", false: "no"}
	fromEnvironment := func(f any) string {
		if reflect.ValueOf(f).Pointer() == reflect.ValueOf(http.ProxyFromEnvironment).Pointer() {
			return "environment"
		}
		return "none"
	}
	idlePerHost := stock.MaxIdleConnsPerHost
	if idlePerHost == 0 {
		idlePerHost = http.DefaultMaxIdleConnsPerHost
	}
	pings := "none"
	if ours.Ping.Interval != 0 || c.any.HTTP2 != nil && c.any.HTTP2.SendPingTimeout != 0 {
		pings = "some"
	}
	age := number(int(c.maxAge))
	want := [][3]string{
		{"connections per host", number(stock.MaxConnsPerHost), number(c.maxConns)},
		{"resting per host", number(idlePerHost), number(c.maxIdle)},
		{"resting in all", number(stock.MaxIdleConns), number(c.maxIdleAll)},
		{"idle timeout", seconds(stock.IdleConnTimeout), seconds(c.idle)},
		{"age of a connection", "unlimited", age},
		{"requests of a connection", "unlimited", number(c.maxRequests)},
		{"dials per host at a time", "unlimited", number(c.maxDials)},
		// Those two of net/http's are in a closure, out of reach.
		{"dial timeout", "30 s", seconds(c.dialer.Net.Timeout)},
		{"TCP keep-alive", "30 s", seconds(c.dialer.Net.KeepAlive)},
		{"TLS handshake timeout", seconds(stock.TLSHandshakeTimeout), seconds(c.any.TLSHandshakeTimeout)},
		{"wait for 100 Continue", seconds(stock.ExpectContinueTimeout), seconds(c.any.ExpectContinueTimeout)},
		{"HTTP/2 over TLS", yes[stock.ForceAttemptHTTP2], yes[c.any.Protocols.HTTP2()]},
		{"pings", "none", pings},
		{"proxy", fromEnvironment(stock.Proxy), fromEnvironment(c.proxy)},
	}
	columns := regexp.MustCompile(`\s{2,}|\s*\|\s*`)
	for file, begin := range map[string]string{
		"doc.go":       "// The defaults of a Transport without a Base:\n",
		"../README.md": "The defaults, without a `Base`:\n",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, table, found := strings.Cut(string(text), begin)
		if !found {
			t.Fatalf("%s has no table of defaults", file)
		}
		var rows [][3]string
		for line := range strings.Lines(table) {
			cells := columns.Split(strings.Trim(line, "/\t\n |"), -1)
			if len(cells) == 3 && cells[2] != "---" {
				rows = append(rows, [3]string(cells))
			} else if len(rows) > 0 {
				break
			}
		}
		if !reflect.DeepEqual(rows, want) {
			t.Errorf("%s says\n%q\nand it is\n%q", file, rows, want)
		}
	}
}
