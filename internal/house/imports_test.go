package house

import (
	"slices"
	"strings"
	"testing"
)

// layers are the packages that may import one another, lowest first: a package
// imports only those of lower layers.
var layers = [][]string{
	{"internal"},
	{"linger"},
	{"metrics"},
	{"metrics/otel", "metrics/prom"},
	{"internal/birth"}, // what a pool tells the dialer
	{"dialer"},
	{"metrics/debug"}, // shows what the doctor says (dialer.Diagnose) too
	{"pool"},
	{"pool/grpcpool"},
	{"internal/nethttp"}, // puts pools to net/http's tests
	{"examples"},
}

// layer returns the layer of a package by its path from the root; packages
// below a named one belong to its layer. It is -1 for one that is in none.
func layer(pkg string) int {
	best, longest := -1, -1
	for i, names := range layers {
		for _, name := range names {
			if within(pkg, name) && len(name) > longest {
				best, longest = i, len(name)
			}
		}
	}
	return best
}

func within(pkg, name string) bool { return pkg == name || strings.HasPrefix(pkg, name+"/") }

func TestImportDirection(t *testing.T) {
	for _, f := range goFiles(t) {
		if layer(f.dir) < 0 {
			t.Errorf("%s: package %s is in no layer; give it one in %s", f.path, f.dir, "internal/house")
		}
		if f.test {
			continue // a test may look at its package from above
		}
		for _, imported := range f.imports() {
			pkg, ours := strings.CutPrefix(imported, module+"/")
			if !ours || sameTree(f.dir, pkg) {
				continue
			}
			if layer(pkg) >= layer(f.dir) {
				t.Errorf("%s imports %s, which is not below it: internal, linger, metrics, dialer, pool, pool/grpcpool is the order", f.path, pkg)
			}
		}
	}
}

// sameTree reports whether both packages belong to one name of the layers,
// where they may import each other as they like.
func sameTree(a, b string) bool {
	for _, names := range layers {
		for _, name := range names {
			if within(a, name) && within(b, name) && layer(a) == layer(b) {
				return true
			}
		}
	}
	return false
}

// owners says which packages may import what comes from elsewhere. A program
// that imports only pool must link neither gRPC, Prometheus nor OpenTelemetry.
var owners = map[string][]string{
	"google.golang.org/grpc":            {"pool/grpcpool", "examples"},
	"github.com/hashicorp/go-cleanhttp": {"pool", "examples"},
	"github.com/prometheus":             {"metrics/prom", "examples"},
	"go.opentelemetry.io":               {"metrics/otel", "examples"},
	"github.com/redis/go-redis":         {"examples/redis"},
	"github.com/coder/websocket":        {"internal/websockettest"},
	"github.com/cncf/xds":               {"internal/grpcinterop"},
	"github.com/chromedp":               {"metrics/debug/internal/browsertest"},
	"golang.org/x/sync":                 nil, // anybody
	"golang.org/x/sys":                  nil,
}

func TestForeignImports(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, imported := range f.imports() {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || within(imported, module) {
				continue // the standard library's, or ours
			}
			known := false
			for name, allowed := range owners {
				if !within(imported, name) {
					continue
				}
				known = true
				mayImport := allowed == nil || f.test ||
					slices.ContainsFunc(allowed, func(pkg string) bool { return within(f.dir, pkg) })
				if !mayImport {
					t.Errorf("%s imports %s; only %v may", f.path, imported, allowed)
				}
			}
			// Modules of their own may need more than the core.
			if !known && !within(f.dir, "metrics/prom") && !within(f.dir, "metrics/otel") && !within(f.dir, "examples") && !within(f.dir, "pool/grpcpool") {
				t.Errorf("%s imports %s, which the core does without", f.path, imported)
			}
		}
	}
}

// The testing helpers must not end up in a program. Package metricstest is one of
// them, for the tests of others.
func TestNetlabInTestsOnly(t *testing.T) {
	for _, f := range goFiles(t) {
		if within(f.dir, "internal/netlab") || within(f.dir, "metrics/metricstest") || f.test {
			continue
		}
		for _, pkg := range []string{"testing", module + "/internal/netlab", module + "/metrics/metricstest"} {
			if slices.Contains(f.imports(), pkg) {
				t.Errorf("%s imports %s, and is not a test", f.path, pkg)
			}
		}
	}
}
