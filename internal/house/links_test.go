package house

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What a program links depends on what it imports of us. Whoever imports one of
// these gets, besides the standard library and packages of ours, no more than
// is named.
var linked = map[string][]string{
	"linger":        {"golang.org/x/sys"},
	"metrics":       {"golang.org/x/sys"},
	"dialer":        {"golang.org/x/sys"},
	"pool":          {"golang.org/x/sys", "github.com/hashicorp/go-cleanhttp"},
	"pool/grpcpool": {"golang.org/x/sys", "google.golang.org", "golang.org/x/net", "golang.org/x/text"},
}

// unlinked are packages that only some programs need, of the standard library
// and of ours. Of these html/template costs most: 2 MB, as the linker can leave
// out nothing that is exported any more.
var unlinked = []string{
	"testing", "html/template", "text/template", "expvar",
	module + "/metrics/debug", module + "/metrics/metricstest", module + "/metrics/otel", module + "/metrics/prom", module + "/internal/netlab",
}

func TestLinked(t *testing.T) {
	for pkg, allowed := range linked {
		for _, system := range []string{"linux", "windows"} {
			for _, dep := range deps(t, system, pkg) {
				if dep == module+"/pool/grpcpool" && pkg != dep[len(module)+1:] {
					t.Errorf("%s: whoever imports %s links %s", system, pkg, dep)
				}
				if pkg != "pool/grpcpool" && slices.ContainsFunc(unlinked, func(p string) bool { return within(dep, p) }) {
					t.Errorf("%s: whoever imports %s links %s", system, pkg, dep)
				}
				first, _, _ := strings.Cut(dep, "/")
				if !strings.Contains(first, ".") || within(dep, module) {
					continue // the standard library's, or ours
				}
				if !slices.ContainsFunc(allowed, func(name string) bool { return within(dep, name) }) {
					t.Errorf("%s: whoever imports %s links %s", system, pkg, dep)
				}
			}
		}
	}
}

// The test above must not pass because it looks at nothing.
func TestLinkedIsSeen(t *testing.T) {
	got := deps(t, "linux", "pool/grpcpool")
	for _, want := range []string{"google.golang.org/grpc", module + "/pool/grpcpool", module + "/linger", "net/http"} {
		if !slices.Contains(got, want) {
			t.Errorf("pool/grpcpool does not link %s, says go list", want)
		}
	}
}

// deps returns the packages that a program links on a system when it imports one
// of ours, as somebody else's program does: without go.work.
func deps(t *testing.T, system, pkg string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS="+system, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps ./%s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
