package main

import (
	"encoding/json"
	"io"
	"runtime"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/metrics"
)

// A report is what the command prints. The JSON names are for programs.
type report struct {
	Work        workKind `json:"work"`
	Requests    int      `json:"requests"`
	Concurrency int      `json:"concurrency"`
	Bursts      int      `json:"bursts"`
	PauseMS     float64  `json:"pause_ms"`
	DelayMS     float64  `json:"delay_ms,omitempty"` // of the embedded server
	Size        int      `json:"size,omitempty"`
	URL         string   `json:"url,omitempty"`
	Protocol    string   `json:"protocol"`
	Go          string   `json:"go"`
	Platform    string   `json:"platform"`
	CPUs        int      `json:"cpus"`

	Exact       bool     `json:"exact"`      // the count of TIME_WAITs
	CountNote   string   `json:"count_note"` // what it is worth
	Interrupted bool     `json:"interrupted"`
	Clients     []*row   `json:"clients"`
	Account     *account `json:"account,omitempty"` // of the last client
}

// A row is how one client fared.
type row struct {
	Name        string  `json:"name"`
	Requests    int     `json:"requests"` // done, failures included
	Failures    int     `json:"failures"`
	FirstError  string  `json:"first_error,omitempty"`
	Dialled     int     `json:"connections_dialled"`
	Here        *int    `json:"time_waits_here"`   // nil: not available
	There       *int    `json:"time_waits_server"` // nil: not available
	AtLeast     bool    `json:"at_least"`          // the row outlived its first TIME_WAITs
	Made        int     `json:"tcpext_tw"`         // what the kernel's counter has grown by: see lab.TimeWaitsMade; 0: not available
	Unsettled   int     `json:"unsettled"`         // sockets still on their way out when we counted
	P50MS       float64 `json:"p50_ms"`
	P99MS       float64 `json:"p99_ms"`
	PerSecond   float64 `json:"requests_per_second"`
	CPUMicros   float64 `json:"cpu_us_per_request"` // 0: not available
	Seconds     float64 `json:"seconds"`
	EndMS       float64 `json:"end_ms"` // what the client took to end, after the work
	Interrupted bool    `json:"interrupted"`

	stats *metrics.Snapshot // or nil
}

// An account is what pool.Transport says about itself, beside what the kernel
// says about it.
type account struct {
	Stats   metrics.Snapshot `json:"stats"`
	Balance string           `json:"balance,omitempty"` // what does not balance
	Kernel  *int             `json:"kernel_time_waits"`
	Agrees  *bool            `json:"agrees"` // nil: not to be known
}

func newReport(s *settings, where lab.Location) *report {
	r := &report{
		Work:        s.work,
		Requests:    s.requests,
		Concurrency: s.concurrency,
		Bursts:      s.bursts,
		PauseMS:     millis(s.pause),
		Protocol:    s.protocol(),
		Go:          runtime.Version(),
		Platform:    runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:        runtime.NumCPU(),
		Exact:       where.Private,
		CountNote:   where.Note(),
	}
	if s.url != nil {
		r.URL = s.url.Redacted()
		r.CountNote = "those that stand when the client has ended; of the server's side only if it is on this machine; " +
			"other programs' connections to the same server count too"
	} else {
		r.DelayMS, r.Size = millis(s.delay), s.size
	}
	return r
}

func newRow(name string, t *tally, took, end, cpu time.Duration) *row {
	r := &row{
		Name:     name,
		Requests: t.done(),
		Failures: t.failures,
		P50MS:    millis(t.percentile(50)),
		P99MS:    millis(t.percentile(99)),
		Seconds:  took.Seconds(),
		EndMS:    millis(end),
	}
	if t.first != nil {
		r.FirstError = t.first.Error()
	}
	if r.Requests > 0 {
		r.PerSecond = float64(r.Requests) / took.Seconds()
		r.CPUMicros = cpu.Seconds() * 1e6 / float64(r.Requests)
	}
	return r
}

// add adds a row and, if the client keeps one, its account.
func (r *report) add(w *row) {
	r.Clients = append(r.Clients, w)
	if w.stats == nil {
		return
	}
	a := &account{Stats: *w.stats, Kernel: w.Here}
	if err := w.stats.Balance(); err != nil {
		a.Balance = err.Error()
	}
	if w.Here != nil && !w.AtLeast {
		a.Agrees = new(uint64(*w.Here) == w.stats.TimeWaits)
	}
	r.Account = a
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
