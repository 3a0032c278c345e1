package house

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// coreRequires are the only modules that whoever imports the core gets from us.
var coreRequires = []string{
	"github.com/hashicorp/go-cleanhttp",
	"golang.org/x/sync",
	"golang.org/x/sys",
	"google.golang.org/grpc",
}

// broughtAlong are those that these require.
var broughtAlong = []string{
	"golang.org/x/net",
	"golang.org/x/text",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/protobuf",
}

func TestCoreRequires(t *testing.T) {
	for _, line := range directives(t, "go.mod", "require") {
		name, _, _ := strings.Cut(line, " ")
		if strings.HasSuffix(line, "// indirect") {
			if !slices.Contains(broughtAlong, name) {
				t.Errorf("go.mod requires %s, by way of another; what an integration needs belongs into a module of its own", name)
			}
			continue
		}
		if !slices.Contains(coreRequires, name) {
			t.Errorf("go.mod requires %s; the core needs no more than %v", name, coreRequires)
		}
	}
	for _, word := range []string{"replace", "exclude", "tool"} {
		if lines := directives(t, "go.mod", word); len(lines) != 0 {
			t.Errorf("go.mod has a %s directive, which users of the module would not get: %v", word, lines)
		}
	}
}

// go test work tests the modules that go.work names, and no others.
func TestWorkspaceIsWhole(t *testing.T) {
	var used []string
	for _, dir := range directives(t, "go.work", "use") {
		used = append(used, path.Clean(dir))
	}
	walk(t, func(name string) {
		if path.Base(name) == "go.mod" && !slices.Contains(used, path.Dir(name)) {
			t.Errorf("go.work does not use %s, so nothing tests it", path.Dir(name))
		}
	})
}

// imported are the modules beside the core that programs import. Those of tests
// and examples are only ever used from the workspace.
var imported = []string{"metrics/debug", "metrics/otel", "metrics/prom"}

// Whoever fetches a module gets what its go.mod asks for: nobody else has our
// go.work. Until there is a version of the core, it cannot ask for one.
func TestReleasedModulesRequireCore(t *testing.T) {
	released := regexp.MustCompile(`(?m)^## \[v?[0-9]`).Match(read(t, "CHANGELOG.md"))
	for _, dir := range imported {
		asks := slices.ContainsFunc(directives(t, dir+"/go.mod", "require"), func(line string) bool {
			return strings.HasPrefix(line, module+" v")
		})
		if released && !asks {
			t.Errorf("%s/go.mod does not require %s, of which there is a version: see Release in CONTRIBUTING.md", dir, module)
		}
	}
}

// directives returns the arguments of a directive in a file of go.mod's
// syntax, those in parentheses too.
func directives(t *testing.T, name, word string) []string {
	t.Helper()
	var args []string
	block := ""
	for line := range strings.Lines(string(read(t, name))) {
		line = strings.TrimSpace(line)
		first, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
		case line == ")":
			block = ""
		case rest == "(":
			block = first
		case block == word:
			args = append(args, line)
		case block == "" && first == word:
			args = append(args, rest)
		}
	}
	return args
}
