package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// packages are those whose tests make the suite.
var packages = []string{"net/http", "net/http/httputil", "net/http/httptest"}

const (
	module = "github.com/lastack/lastack"

	// hookPackage is where the tests import package hook from. The overlay
	// puts it there, since net/http may not import what is internal to us.
	hookPackage = module + "/hook"

	// suiteTag shows more of package pool.
	suiteTag = "nethttpsuite"
)

//go:embed added
var added embed.FS

// A toolchain is the Go that runs this program, whose net/http is tested.
type toolchain struct {
	root    string // GOROOT
	version string
	module  string // the directory of our module
	json    string // the program test2json
}

func findToolchain(ctx context.Context) (toolchain, error) {
	var t toolchain
	for _, q := range []struct {
		to   *string
		args []string
	}{
		{&t.root, []string{"env", "GOROOT"}},
		{&t.version, []string{"env", "GOVERSION"}},
		{&t.module, []string{"list", "-m", "-f", "{{.Dir}}", module}},
		{&t.json, []string{"tool", "-n", "test2json"}},
	} {
		out, err := goCommand(ctx, q.args...)
		if err != nil {
			return t, err
		}
		*q.to = strings.TrimSpace(out)
	}
	return t, nil
}

// goCommand runs the go command and returns what it prints.
func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// writeOverlay writes the patched and added files to dir, and a file for
// go build -overlay, whose name it returns.
func (t toolchain) writeOverlay(dir string) (string, error) {
	o := overlay{dir: dir, Replace: make(map[string]string)}
	src := filepath.Join(t.root, "src")
	netHTTP := filepath.Join(src, "net", "http")
	for _, p := range patches {
		name := filepath.Join(netHTTP, p.file)
		source, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errChanged, err)
		}
		patched, err := p.apply(string(source))
		if err != nil {
			return "", err
		}
		if err := o.put(name, []byte(patched)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"transport.go", "export_test.go"} {
		source, err := added.ReadFile("added/" + name + ".txt")
		if err != nil {
			return "", err
		}
		if err := o.put(filepath.Join(netHTTP, "suite_"+name), source); err != nil {
			return "", err
		}
	}
	for _, pkg := range packages {
		source, err := hookTest(pkg)
		if err != nil {
			return "", err
		}
		if err := o.put(filepath.Join(src, filepath.FromSlash(pkg), "suite_hook_test.go"), source); err != nil {
			return "", err
		}
	}
	o.Replace[filepath.Join(t.module, "hook", "hook.go")] = filepath.Join(t.module, "internal", "nethttp", "hook", "hook.go")

	list, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o666)
}

// An overlay is what go build -overlay reads.
type overlay struct {
	Replace map[string]string // files as the go command is to see them, to files as they are

	dir string
}

// put has the go command see content under the name.
func (o *overlay) put(name string, content []byte) error {
	file := filepath.Join(o.dir, filepath.Base(filepath.Dir(name))+"_"+filepath.Base(name))
	o.Replace[name] = file
	return os.WriteFile(file, content, 0o666)
}

// hookTest returns the file that has a package's tests served by pools.
func hookTest(pkg string) ([]byte, error) {
	text, err := template.ParseFS(added, "added/hook_test.go.txt")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = text.Execute(&b, struct{ Package, Name, Hook string }{pkg, path.Base(pkg), hookPackage})
	return b.Bytes(), err
}

// build builds the test binaries of the packages in dir.
func (t toolchain) build(ctx context.Context, dir string, race bool) error {
	list, err := t.writeOverlay(dir)
	if err != nil {
		return err
	}
	args := []string{"test", "-c", "-vet=off", "-overlay", list, "-tags", suiteTag, "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	if _, err := goCommand(ctx, append(args, packages...)...); err != nil {
		return fmt.Errorf("the tests do not build; if it is not package pool, %w: %w", errChanged, err)
	}
	return nil
}

// binary returns the file name of a package's test binary.
func binary(dir, pkg string) string { return filepath.Join(dir, path.Base(pkg)+".test") }
