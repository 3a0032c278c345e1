package house

import (
	"bytes"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// A longer file tells more than one story.
const (
	maxLines     = 400
	maxTestLines = 600
)

func TestFileLength(t *testing.T) {
	for _, f := range goFiles(t) {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if n := bytes.Count(f.source, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, the limit is %d: which idea deserves a file of its own?", f.path, n, limit)
		}
	}
}

func TestOnePackageComment(t *testing.T) {
	documented, packages := map[string][]string{}, map[string]bool{}
	onlyTests := map[string]bool{}
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.syntax.Name.Name, "_test") {
			continue
		}
		if _, seen := packages[f.dir]; !seen {
			onlyTests[f.dir] = true
		}
		packages[f.dir] = true
		onlyTests[f.dir] = onlyTests[f.dir] && f.test
		if f.syntax.Doc.Text() != "" {
			documented[f.dir] = append(documented[f.dir], f.path)
			if f.test && !within(f.dir, "internal/house") {
				t.Errorf("%s: the package comment is in a test, where go doc does not look", f.path)
			}
		}
	}
	for dir := range packages {
		if n := len(documented[dir]); n != 1 && !onlyTests[dir] {
			t.Errorf("package %s has %d package comments, want one: %v", dir, n, documented[dir])
		}
	}
}

// A test that sleeps is either slow or flaky. Time is synctest's, and the kernel
// is waited for with netlab.Eventually. Inside a bubble a sleep takes no time,
// so a file that makes bubbles may have it.
func TestNoSleepInTests(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test || slices.Contains(f.imports(), "testing/synctest") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
				t.Errorf("%v: time.Sleep in a test: use testing/synctest, or netlab.Eventually for the kernel", f.set.Position(n.Pos()))
			}
			return true
		})
	}
}

// A program that somebody has built in the tree gets into a commit easily, and
// stays in the history that everybody clones.
func TestNoPrograms(t *testing.T) {
	walk(t, func(name string) {
		content := read(t, name)
		for system, magic := range map[string]string{"Linux": "\x7fELF", "macOS": "\xcf\xfa\xed\xfe", "Windows": "MZ\x90\x00"} {
			if bytes.HasPrefix(content, []byte(magic)) {
				t.Errorf("%s is a program for %s: build with go run, or go build -o elsewhere", name, system)
			}
		}
	})
}
