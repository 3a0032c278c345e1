package debug

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A view is a look through the eyes of one who asked: at one source, over one
// span of time.
type view struct {
	*look
	source sourceLook
	window time.Duration
	host   string // whose what-if curve is shown; "": the busiest's
	query  query
}

// A query is what was asked for.
type query struct{ pool, window, host string }

// windows are the spans to choose from.
var windows = []struct {
	name string
	span time.Duration
}{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"15m", sampleFor}}

// newView finds what is asked for. What is not there is taken as not asked for,
// so that a link lasts longer than the host in it.
func newView(l *look, q query) *view {
	v := &view{look: l, source: l.sources[0], window: sampleFor, host: q.host, query: q}
	for _, s := range l.sources {
		if s.name == q.pool {
			v.source = s
		}
	}
	for _, w := range windows {
		if w.name == q.window {
			v.window = w.span
		}
	}
	return v
}

// href is a link to this view with something changed. It names no path, so
// that it holds wherever the page is mounted.
func (q query) href(format string) string {
	values := url.Values{}
	for name, value := range map[string]string{"pool": q.pool, "window": q.window, "host": q.host, "format": format} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return "?" + values.Encode()
}

// report answers all questions.
func (v *view) report() *report {
	r := &report{title: "lastack", facts: v.facts(), links: v.links()}
	if v.source.name != "" {
		r.title += ": " + v.source.name
	}
	r.add(v.findings())
	r.add(v.receipt())
	r.add(v.pools())
	r.add(v.tiles())
	r.add(v.plots())
	r.add(v.hosts())
	r.add(v.whatIf())
	r.add(v.sockets())
	r.add(v.leaks())
	r.add(v.lanes())
	return r
}

// add adds a section that has something in it.
func (r *report) add(s section) {
	if len(s.blocks) > 0 {
		r.parts = append(r.parts, s)
	}
}

func (v *view) facts() []fact {
	host, err := os.Hostname()
	if err != nil {
		host = "not known"
	}
	facts := []fact{
		{"program", filepath.Base(os.Args[0]), "The name of the executable."},
		{"pid", strconv.Itoa(os.Getpid()), "The number of the process, to find it in ss -p or /proc."},
		{"host", host, "The machine, or the container."},
		{"watched for", lasting(v.at.Sub(v.since).Round(time.Second)), "How long the page has been taking samples. What was before is in the counts, but not in the plots."},
		{"as of", v.at.Format("2006-01-02 15:04:05 MST"), "When the numbers were read, by the clock of the server."},
	}
	if k := v.machine.report.Kernel; k != "" {
		facts = append(facts, fact{"kernel", "Linux " + k, "The release of the kernel."})
	}
	return facts
}

func (v *view) links() []linkGroup {
	var groups []linkGroup
	if len(v.sources) > 1 {
		g := linkGroup{label: "Pool"}
		for _, s := range v.sources {
			q := v.query
			q.pool, q.host = s.name, ""
			g.links = append(g.links, link{s.name, q.href(""), s.name == v.source.name})
		}
		groups = append(groups, g)
	}
	spans := linkGroup{label: "Time in the plots"}
	for _, w := range windows {
		q := v.query
		q.window = w.name
		spans.links = append(spans.links, link{w.name, q.href(""), w.span == v.window})
	}
	return append(groups, spans, linkGroup{label: "As data", links: []link{
		{"text", v.query.href("text"), false}, {"JSON", v.query.href("json"), false},
	}})
}

// recent returns the samples of the window, and how much time they cover. The
// first is what is to be subtracted from.
func (v *view) recent() (samples []sample, covered time.Duration) {
	samples = within(v.source.history, v.at.Add(-v.window))
	if len(samples) > 1 {
		covered = min(samples[len(samples)-1].at.Sub(samples[0].at), v.window)
	}
	return samples, covered
}

// span says how long the window is, as far as there are samples of it.
func (v *view) span() string {
	_, covered := v.recent()
	if covered > v.window-2*sampleEvery {
		return lasting(v.window)
	}
	return lasting(covered.Round(time.Second))
}

// grown returns how much a count has grown in the window.
func (v *view) grown(of func(sample) uint64) uint64 {
	samples, _ := v.recent()
	if len(samples) == 0 {
		return 0
	}
	return since(of(samples[len(samples)-1]), of(samples[0]))
}

// pools compares the sources, if there are several.
func (v *view) pools() section {
	if len(v.sources) < 2 {
		return section{}
	}
	t := &table{caption: "The pools of this program", class: "cards", columns: []column{
		{"pool", "The name that the program gave. It leads to the pool's page.", false},
		{"TIME_WAITs left", "TIME_WAIT sockets that the pool's connections have left here.", true},
		{"would have left", "At least as many would have been left with net/http's defaults.", true},
		{"reuse", "Of the requests that got a connection, those that got one that had served before.", true},
		{"open", "Connections that are open now.", true},
		{"waiting", "Requests that wait for a connection now.", true},
		{"leaks", "Response bodies that were never closed.", true},
	}}
	for _, s := range v.sources {
		k, q := s.snapshot, v.query
		q.pool, q.host = s.name, ""
		r := row{cells: []cell{
			{lines: []string{s.name}, link: q.href("")}, cellOf(count(k.TimeWaits)), cellOf(count(k.WouldHave[netHTTP])),
			cellOf(reuse(k.Reused, k.Leases)), cellOf(count(k.Busy + k.Resting + k.Leaving)),
			cellOf(count(k.Waiting)), cellOf(count(k.Leaks)),
		}}
		if k.Leaks > 0 || k.Waiting > 0 {
			r.tone = notice
		}
		t.rows = append(t.rows, r)
	}
	return section{id: "pools", title: "Pools", wide: true, blocks: []block{t}}
}

func reuse(reused, leases uint64) string {
	if leases == 0 {
		return "–"
	}
	return part(float64(reused) / float64(leases))
}
