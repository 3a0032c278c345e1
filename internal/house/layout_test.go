package house

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"
)

// topLevel is all that a newcomer sees first.
var topLevel = []string{
	".ci", ".git", ".gitignore",
	"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md",
	"go.mod", "go.sum", "go.work", "go.work.sum", "staticcheck.conf",
	"dialer", "examples", "internal", "linger", "metrics", "pool",
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if madeByGoTest(e.Name()) {
			continue
		}
		if !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s is at the top of the tree; does it belong into one of %v?", e.Name(), topLevel)
		}
	}
}

// TestOnlyText: what is built from the tree does not belong into it. A program
// that lies here was left by go build.
func TestOnlyText(t *testing.T) {
	walk(t, func(name string) {
		if bytes.IndexByte(read(t, name), 0) >= 0 {
			t.Errorf("%s is not a text: was it built here?", name)
		}
	})
}

// places are what only means something on the machine of whoever wrote it:
// paths below the usual homes, and registries. Which of those to ask is the
// business of whoever builds.
var places = regexp.MustCompile(`(?:^|[^\w.$}])(/(?:work|workspace|farm|home|Users|root)/\w+)|` +
	`(?i)((?:proxy|sum)\.golang\.org|goproxy\.\w+|GOPROXY=http\S*|GONOSUMDB=\S*|[\w.-]*(?:artifactory|jfrog|codeartifact|nexus)[\w-]*\.\w+)`)

func TestNoPlaces(t *testing.T) {
	walk(t, func(name string) {
		if name == "internal/house/layout_test.go" {
			return // it has to name them
		}
		for i, line := range bytes.Split(read(t, name), []byte("\n")) {
			if found := places.Find(line); found != nil {
				t.Errorf("%s:%d: %q means nothing on another machine", name, i+1, found)
			}
		}
	})
}

func TestPlacesFound(t *testing.T) {
	for line, bad := range map[string]bool{
		"see /home/me/notes":                   true,
		`path := "/root/x"`:                    true,
		"GOPROXY=https://proxy.example":        true,
		"asks proxy.golang.org":                true,
		"cd /farm/checkout":                    true,
		"https://example.com/home/page":        false,
		"/proc/sys/net/ipv4/tcp_tw_reuse":      false,
		"github.com/lastack/lastack/work/home": false,
		"${dir}/work/x":                        false,
	} {
		if places.MatchString(line) != bad {
			t.Errorf("%q: found %v, want %v", line, !bad, bad)
		}
	}
}
