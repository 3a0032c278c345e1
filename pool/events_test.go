package pool

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A record keeps events.
type record struct {
	mu     sync.Mutex
	events []Event
}

func (r *record) add(e Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
}

func (r *record) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *record) kinds() []EventKind {
	var kinds []EventKind
	for _, e := range r.all() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestEvents(t *testing.T) {
	srv := httptest.NewServer(hello)
	defer srv.Close()
	var r record
	var logged bytes.Buffer
	tr := &Transport{Events: r.add, Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	get(t, tr, srv.URL)
	get(t, tr, srv.URL)
	shutdown(t, tr)

	want := []EventKind{Born, Waited, Leased, Returned, Leased, Returned, Leaving, Ended}
	netlab.Eventually(t, 10*time.Second, "the last event", func() bool { return len(r.all()) >= len(want) })
	if got := r.kinds(); !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	e := r.all()
	for i, ev := range e {
		if ev.Key.Scheme != "http" || ev.Conn != 1 && ev.Kind != Waited || ev.HTTP2 {
			t.Errorf("event %d: %+v", i, ev)
		}
	}
	switch {
	case e[0].Took <= 0, e[1].Took <= 0, e[1].Err != nil:
		t.Errorf("born %+v, waited %+v", e[0], e[1])
	case e[2].Reused, !e[4].Reused:
		t.Errorf("leased %+v and %+v", e[2], e[4])
	case e[6].Reason != metrics.Shutdown:
		t.Errorf("leaving %+v", e[6])
	case e[7].Ending == linger.Unknown, e[7].Took <= 0:
		t.Errorf("ended %+v", e[7])
	}
	if n := strings.Count(logged.String(), `msg="connection `); n != len(want) || !strings.Contains(logged.String(), "reason=shutdown") {
		t.Errorf("%d lines are logged, want %d:\n%s", n, len(want), logged.String())
	}
}

// TestEventsHTTP2: all that happens to an HTTP/2 connection is told as such.
func TestEventsHTTP2(t *testing.T) {
	srv, base := newServer(t, "h2", hello)
	var r record
	tr := &Transport{Base: base, Events: r.add}
	get(t, tr, srv.URL)
	get(t, tr, srv.URL)
	shutdown(t, tr)

	// They are counted, since those of several goroutines are told in any order.
	want := map[EventKind]int{Born: 1, Waited: 1, Leased: 2, Returned: 2, Leaving: 1, Ended: 1}
	netlab.Eventually(t, 10*time.Second, "the last event", func() bool { return len(r.all()) >= 8 })
	got := make(map[EventKind]int)
	for i, e := range r.all() {
		got[e.Kind]++
		switch {
		case e.Key.Scheme != "https", e.Kind != Waited && (e.Conn != 1 || !e.HTTP2):
			t.Errorf("event %d: %+v", i, e)
		case e.Kind == Leased && e.Reused != (got[Leased] > 1), e.Kind == Leaving && e.Reason != metrics.Shutdown:
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("events %v, want %v", r.kinds(), want)
	}
}

// TestEventOfReplay: a request whose connection died under it says so.
func TestEventOfReplay(t *testing.T) {
	var n atomic.Int32
	url := "http://" + dyingServer(t, &n)
	var r record
	tr := &Transport{Events: r.add}
	get(t, tr, url)
	get(t, tr, url)
	shutdown(t, tr)
	var told []Event
	for _, e := range r.all() {
		if e.Kind == Replayed {
			told = append(told, e)
		}
	}
	if len(told) != 1 || told[0].Conn != 1 || told[0].Key.Scheme != "http" || told[0].HTTP2 || told[0].Err == nil {
		t.Fatalf("replays %+v, want one of connection 1", told)
	}
	leased := func(e Event) bool { return e.Kind == Leased && e.Conn == 2 }
	replayed := func(e Event) bool { return e.Kind == Replayed }
	if e := r.all(); slices.IndexFunc(e, replayed) > slices.IndexFunc(e, leased) {
		t.Errorf("%v: the second connection is lent before the replay", r.kinds())
	}
}

func TestEventOfFailedWait(t *testing.T) {
	var r record
	tr := &Transport{Events: r.add}
	defer shutdown(t, tr)
	srv := httptest.NewServer(hello)
	srv.Close() // nobody listens there now
	if _, err := tr.RoundTrip(mustRequest(t, srv.URL)); err == nil {
		t.Fatal("a closed server answers")
	}
	e := r.all()
	if len(e) != 1 || e[0].Kind != Waited || e[0].Err == nil {
		t.Errorf("events %+v, want one failed wait", e)
	}
}
