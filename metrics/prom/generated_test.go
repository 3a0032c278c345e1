package prom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/metrics/prom/internal/monitor"
)

// The files are what go generate makes of the table.
func TestGenerated(t *testing.T) {
	for name, want := range monitor.Files() {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the table says: run go generate in metrics/prom", name)
		}
		if bytes.ContainsRune(got, '@') {
			t.Errorf("%s has a name that was not translated", name)
		}
	}
}

// Whatever looks like a metric or a label of ours, in a query or in a text, is
// in a scrape. A part of a histogram counts as itself.
func TestNamesExist(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prom.NewCollector(full))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		for _, m := range f.Metric {
			for _, l := range m.Label {
				names = append(names, l.GetName())
			}
			if m.Histogram != nil {
				names = append(names, f.GetName()+"_bucket", f.GetName()+"_sum", f.GetName()+"_count")
			}
		}
	}
	ours := regexp.MustCompile(`\b(lastack|http_client|http_connection|server)_[a-z_]+`)
	for file, content := range monitor.Files() {
		found := ours.FindAllString(string(content), -1)
		if len(found) < 20 {
			t.Errorf("%s has only the names %v", file, found)
		}
		for _, name := range found {
			// The system's ports are in a scrape on Linux only.
			if !slices.Contains(names, name) && name != "lastack_host_ephemeral_port_limit" {
				t.Errorf("%s: no scrape has %s", file, name)
			}
		}
	}
}

func TestDashboardIsJSON(t *testing.T) {
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(monitor.Files()["dashboard.json"], &d); err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q with %d queries", p.ID, p.Title, len(p.Targets))
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if at[0] >= 24 || taken[at] != "" {
					t.Errorf("%q lies over %q, or over the edge, at %v", p.Title, taken[at], at)
				}
				taken[at] = p.Title
			}
		}
	}
	if len(d.Panels) < 10 {
		t.Errorf("%d panels", len(d.Panels))
	}
}

// Prometheus' own tool reads every query and plays series to the alerts.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		netlab.Missing(t, "promtool", "apt-get install prometheus")
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("check", "rules", "alerts.yml")
	run("test", "rules", "testdata/alerts_test.yml")

	// As rules, so that it reads the dashboard's too.
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$pool", ".*", "$host", ".*")
	var b strings.Builder
	b.WriteString("groups:\n  - name: queries\n    rules:\n")
	for i, q := range monitor.Queries() {
		fmt.Fprintf(&b, "      - record: q%d\n        expr: %q\n", i, variables.Replace(q))
	}
	name := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run("check", "rules", name)
}
