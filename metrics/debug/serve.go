package debug

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

//go:embed page.css
var styles []byte

//go:embed page.js
var script []byte

//go:embed icon.svg
var icon []byte

// answerWithin bounds how long a request waits for what there is to see.
const answerWithin = 10 * time.Second

// ServeHTTP answers every path that it is given with the page, so that it can
// be mounted anywhere. The query says what is wanted: format=text and
// format=json give the content in those forms; pool, window (1m, 5m, 15m) and
// host choose.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if foreign(r) || !p.config.Allow(r) {
		http.Error(w, "This page is for clients on the same machine, unless the program allows others (debug.Config.Allow).", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "There is nothing to change here.", http.StatusMethodNotAllowed)
		return
	}
	q := r.URL.Query()
	if name := q.Get("asset"); name != "" {
		serveAsset(w, r, name)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	l, err := p.look(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	v := newView(l, query{pool: q.Get("pool"), window: q.Get("window"), host: q.Get("host")})
	switch q.Get("format") {
	case "", "html":
		var page htmlWriter
		page.page(v.report())
		send(w, r, "text/html; charset=utf-8", page.Bytes())
	case "text":
		var text textWriter
		text.page(v.report())
		send(w, r, "text/plain; charset=utf-8", text.Bytes())
	case "json":
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		if err := e.Encode(l.data()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		send(w, r, "application/json", b.Bytes())
	default:
		http.Error(w, "format is html, text or json", http.StatusBadRequest)
	}
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	switch name {
	case "page.css":
		send(w, r, "text/css; charset=utf-8", styles)
	case "page.js":
		send(w, r, "text/javascript; charset=utf-8", script)
	case "icon.svg":
		send(w, r, "image/svg+xml", icon)
	default:
		http.NotFound(w, r)
	}
}

func send(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// What the JSON form holds.
type (
	data struct {
		At      time.Time     `json:"at"`
		Since   time.Time     `json:"since"` // when the first sample was taken
		Sources []sourceData  `json:"sources"`
		Machine dialer.Report `json:"machine"`
		Unknown string        `json:"machine_error,omitempty"`
	}
	sourceData struct {
		Name        string                  `json:"name"`
		Snapshot    metrics.Snapshot        `json:"snapshot"`
		Kernel      *metrics.Reconciliation `json:"reconciliation,omitempty"`
		KernelError string                  `json:"reconciliation_error,omitempty"`
		Sockets     metrics.Sockets         `json:"sockets,omitzero"`
		Lives       []metrics.Life          `json:"lives,omitempty"`
		History     []sampleData            `json:"history"`
	}
	sampleData struct {
		At         time.Time         `json:"at"`
		Standing   uint64            `json:"standing"`    // TIME_WAITs, to the host with the most
		WouldStand map[string]uint64 `json:"would_stand"` // by model, the same
		Busy       int64             `json:"busy"`
		Resting    int64             `json:"resting"`
		Dialing    int64             `json:"dialing"`
		Waiting    int64             `json:"waiting"`
		Requests   uint64            `json:"requests"`
		Dials      uint64            `json:"dials"`
		TimeWaits  uint64            `json:"time_waits"`
	}
)

func (l *look) data() data {
	d := data{At: l.at, Since: l.since, Machine: l.machine.report}
	if l.machine.err != nil {
		d.Unknown = l.machine.err.Error()
	}
	for _, s := range l.sources {
		one := sourceData{Name: s.name, Snapshot: s.snapshot, Lives: s.lives}
		if s.kernel.can {
			one.Kernel, one.Sockets = &s.kernel.says, s.kernel.sockets
		}
		if s.kernel.err != nil {
			one.KernelError = s.kernel.err.Error()
		}
		for _, k := range s.history {
			one.History = append(one.History, sampleData{
				k.at, k.standing, k.wouldStand, k.busy, k.resting, k.dialing, k.waiting, k.requests, k.dials, k.timeWaits,
			})
		}
		d.Sources = append(d.Sources, one)
	}
	return d
}
