package prom

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/metrics/internal/table"
)

// The list of metrics in the package comment is the table.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[table.Kind]string{table.Counter: "counter", table.UpDownCounter: "gauge", table.Gauge: "gauge", table.Histogram: "histogram"}
	var want []string
	for _, m := range table.Metrics {
		line := m.Prometheus() + " " + kinds[m.Kind]
		if m.Attribute != "" {
			line += " by " + table.Label(m.Attribute)
		}
		want = append(want, line)
	}
	var got []string
	spaces := regexp.MustCompile(` +`)
	for line := range strings.Lines(string(doc)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if !ok || !strings.Contains(line, "  ") || strings.HasPrefix(line, " ") {
			continue
		}
		line, _, _ = strings.Cut(spaces.ReplaceAllString(line, " "), ":")
		line, _, _ = strings.Cut(line, " of the system")
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		t.Errorf("documented are\n%s\nand there are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A user of this package links client_golang and what that needs.
func TestLinks(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{
		"github.com/beorn7/perks",
		"github.com/cespare/xxhash/v2",
		"github.com/lastack/lastack",
		"github.com/lastack/lastack/metrics/prom",
		"github.com/munnerz/goautoneg",
		"github.com/prometheus/client_golang",
		"github.com/prometheus/client_model",
		"github.com/prometheus/common",
		"github.com/prometheus/procfs",
		"golang.org/x/sys",
		"google.golang.org/protobuf",
	}
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	for _, m := range modules {
		if !slices.Contains(wanted, m) {
			t.Errorf("links %s", m)
		}
	}
	if !slices.Contains(modules, "github.com/prometheus/client_golang") {
		t.Errorf("only %v are linked: the test shows nothing", modules)
	}
}
