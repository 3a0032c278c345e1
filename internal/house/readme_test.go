package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// given is what the Go of README.md takes as given. Everything else in it is to
// be there and of the right type.
const given = `package readme

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool"
	"github.com/lastack/lastack/pool/grpcpool"
)

var (
	ctx       context.Context
	target    string
	opts      []grpc.DialOption
	creds     credentials.TransportCredentials
	l         net.Listener
	server    *http.Server
	closer    *linger.Closer
	transport *pool.Transport
	meter     *metrics.Meter
)
`

// TestReadme: what README.md shows compiles. It may leave a value unused and
// declare a name twice, as what is to be read may.
func TestReadme(t *testing.T) {
	blocks := goBlocks(string(read(t, "README.md")))
	if len(blocks) < 3 {
		t.Fatalf("README.md has %d blocks of Go; are they still found?", len(blocks))
	}
	exports := exportData(t)
	for _, block := range blocks {
		for _, err := range check(t, exports, block) {
			t.Errorf("README.md: %v in\n%s", err, block)
		}
	}
}

// The test above must not pass because it looks at nothing.
func TestReadmeIsSeen(t *testing.T) {
	blocks := goBlocks("text\n```go\ntransport.NoSuch()\nvar unused int\n```\n")
	if len(blocks) != 1 {
		t.Fatalf("found %q", blocks)
	}
	if errs := check(t, exportData(t), blocks[0]); len(errs) != 1 || !strings.Contains(errs[0].Error(), "NoSuch") {
		t.Errorf("a method that is not there is not noticed: %v", errs)
	}
}

// goBlocks returns the blocks of Go in a Markdown text.
func goBlocks(text string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(text, "```go\n")
		if !found {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "```")
		blocks, text = append(blocks, block), after
	}
}

// check returns what is wrong with a block of statements.
func check(t *testing.T, exports map[string]string, block string) (errs []error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "README.md", fmt.Sprintf("%s\nfunc _() {\n%s}\n", given, block), 0)
	if err != nil {
		return []error{err}
	}
	config := types.Config{
		Importer: importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }),
		Error: func(err error) {
			if e := err.(types.Error); !e.Soft && !strings.HasSuffix(e.Msg, "is not used") {
				errs = append(errs, err)
			}
		},
	}
	config.Check("readme", set, []*ast.File{f}, nil) // Error is told
	return errs
}

// exportData returns the files with the export data of our packages and of all
// that they import.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./pool", "./pool/grpcpool")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -export: %v\n%s", err, &stderr)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return files
}
