package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// TestShowsItsLoad: the page is where the program says, in all its forms, and
// shows the requests; the program ends when it is told to, with its account.
func TestShowsItsLoad(t *testing.T) {
	check := netlab.Leaks(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-addr", "127.0.0.1:0", "-for", "1m", "-trouble"}, w)
		w.Close()
		ended <- err
	}()
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ended)
	}
	url := strings.TrimSpace(line)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(query string) string {
		resp, err := client.Get(url + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v\n%s", query, resp.Status, err, b)
		}
		return string(b)
	}
	netlab.Eventually(t, 30*time.Second, "the page shows 20 requests", func() bool {
		var data struct {
			Sources []struct{ Snapshot metrics.Snapshot }
		}
		if err := json.Unmarshal([]byte(get("?format=json")), &data); err != nil {
			t.Fatal(err)
		}
		s := data.Sources[0].Snapshot
		return s.Requests >= 20 && s.Reused > 0 && len(s.Hosts) == 2 && s.TimeWaits == 0
	})
	for query, want := range map[string]string{"": "before (10 idle)", "?format=text": "before (10 idle)"} {
		if body := get(query); !strings.Contains(body, want) {
			t.Errorf("%q: no %q in\n%s", query, want, body)
		}
	}
	stop()
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !strings.Contains(string(rest), "TIME_WAITs:  0;") {
		t.Errorf("%v\n%s", err, rest)
	}
	check()
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"-addr", "127.0.0.1:99999"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
