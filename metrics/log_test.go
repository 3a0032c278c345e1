package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLog: each interval has a line of its own, with what happened in it, and so
// has what is left at the end.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		var out bytes.Buffer
		h := m.Host("h")
		h.Request() // before Log: of no line
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			m.Log(ctx, slog.New(slog.NewJSONHandler(&out, nil)), time.Minute)
			close(over)
		}()
		synctest.Wait()
		request := func(n int) {
			for range n {
				h.Request()
				h.Lease(time.Now(), true)
				h.Return(time.Now(), time.Now())
			}
		}
		request(3)
		time.Sleep(time.Minute)
		synctest.Wait()
		h.Leak("")
		c := h.Born(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		c.TimeWait()
		m.kernel.Store(&Reconciliation{Checked: true, Why: "something"})
		request(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		request(1)
		time.Sleep(10 * time.Second)
		cancel()
		<-over

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines, want 4:\n%s", len(lines), out.String())
		}
		for i, want := range []map[string]any{
			{"level": "INFO", "in": 60e9, "requests": 3.0, "reused": 3.0, "busy": 0.0, "leaks": nil, "kernel_agrees": nil},
			{"requests": 0.0, "busy": 1.0, "leaks": 1.0, "time_waits": 0.0},
			{"requests": 1.0, "time_waits": 1.0, "leaks": nil, "kernel_agrees": false, "kernel_says": "something"},
			{"in": 10e9, "requests": 1.0, "kernel_agrees": nil, "kernel_says": nil}, // it was not asked again
		} {
			var line map[string]any
			if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
				t.Fatal(err)
			}
			for name, v := range want {
				if line[name] != v {
					t.Errorf("line %d: %s is %v, want %v", i, name, line[name], v)
				}
			}
		}
	})
}

func TestLogMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		m.Log(ctx, slog.New(slog.NewTextHandler(&out, nil)), 0)
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines in two minutes and a half:\n%s", n, out.String())
		}
	})
}
