package otel

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/metrics/internal/table"
)

// The list of instruments in the package comment is the table.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[table.Kind]string{table.Counter: "counter", table.UpDownCounter: "up-down", table.Gauge: "gauge", table.Histogram: "histogram"}
	var want []string
	for _, m := range table.Metrics {
		line := m.Name + " " + kinds[m.Kind]
		if m.Attribute != "" {
			line += " by " + m.Attribute
		}
		want = append(want, line)
	}
	var got []string
	spaces := regexp.MustCompile(` +`)
	for line := range strings.Lines(string(doc)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if !ok || !strings.Contains(line, "  ") {
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

// A user of this package links OpenTelemetry's API for metrics, and neither
// the SDK nor package otel, whose provider is everybody's.
func TestLinks(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "go.opentelemetry.io/otel/metric") {
		t.Error("not even the API is linked: the test shows nothing")
	}
	for _, p := range packages {
		first, _, _ := strings.Cut(p, "/")
		ours := strings.HasPrefix(p, "github.com/lastack/lastack/")
		api := strings.HasPrefix(p, "go.opentelemetry.io/otel/") && !strings.HasPrefix(p, "go.opentelemetry.io/otel/sdk")
		std := !strings.Contains(first, ".")
		helpers := strings.HasPrefix(p, "golang.org/x/sys/") || strings.HasPrefix(p, "github.com/cespare/xxhash/")
		if !ours && !api && !std && !helpers {
			t.Errorf("links %s", p)
		}
	}
}

// Nor does this module require the SDK, not even for its tests.
func TestRequires(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mod), "/sdk") {
		t.Errorf("go.mod requires the SDK:\n%s", mod)
	}
}
