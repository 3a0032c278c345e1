// Package house holds the rules of this repository, as tests. It has no code
// of its own.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/lastack/lastack"

// root is the repository, seen from this package.
const root = "../.."

// A file is one Go source file.
type file struct {
	path   string // from the root, with slashes
	dir    string
	test   bool
	source []byte
	syntax *ast.File
	set    *token.FileSet
}

// imports are the paths that the file imports.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// walk calls f for every file of the repository but Git's own and what
// .gitignore names: the products of go test.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".git" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil // of a worktree
		}
		if !d.IsDir() && !madeByGoTest(name) {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			f(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// madeByGoTest reports whether .gitignore names the file.
func madeByGoTest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".test" || ext == ".prof" || ext == ".out"
}

// goFiles returns all Go files of the repository, those of the modules beside
// the core too.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	walk(t, func(name string) {
		if path.Ext(name) != ".go" {
			return
		}
		f := file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: token.NewFileSet()}
		f.source = read(t, name)
		var err error
		if f.syntax, err = parser.ParseFile(f.set, name, f.source, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	})
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
