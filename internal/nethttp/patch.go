package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// errChanged is wrapped when net/http's source is not what the suite knows.
var errChanged = errors.New("net/http has changed")

// A patch is what the suite changes in one file of net/http.
type patch struct {
	file     string
	renames  []rename
	replaces []replace
}

// A rename gives a function or method another name, so that an added file can
// take its place and call it.
type rename struct{ receiver, from, to string }

// A replace changes text that is there once.
type replace struct{ old, new string }

// patches are all changes to net/http's own files. What is added is in added/.
var patches = []patch{
	{file: "roundtrip.go", renames: []rename{
		{"Transport", "RoundTrip", "StockRoundTrip"},
	}},
	{file: "transport.go", renames: []rename{
		{"Transport", "CloseIdleConnections", "StockCloseIdleConnections"},
		{"Transport", "CancelRequest", "StockCancelRequest"},
	}},
	{file: "client.go", renames: []rename{
		{"", "knownRoundTripperImpl", "stockKnownRoundTripperImpl"},
	}},
	{file: "export_test.go", renames: []rename{
		{"Transport", "NumPendingRequestsForTesting", "stockNumPendingRequestsForTesting"},
		{"Transport", "IdleConnKeysForTesting", "stockIdleConnKeysForTesting"},
		{"Transport", "IdleConnKeyCountForTesting", "stockIdleConnKeyCountForTesting"},
		{"Transport", "IdleConnStrsForTesting", "stockIdleConnStrsForTesting"},
		{"Transport", "IdleConnStrsForTesting_h2", "stockIdleConnStrsForTesting_h2"},
		{"Transport", "IdleConnCountForTesting", "stockIdleConnCountForTesting"},
		{"", "ExportCloseTransportConnsAbruptly", "stockExportCloseTransportConnsAbruptly"},
	}},
	{file: "transport_test.go", replaces: []replace{
		// TestRetryRequestsOnError wants a hook inside of Transport.RoundTrip to
		// be called between attempts. That there are two is seen without it.
		{"\t\t\t\tlogf(\"Retried.\")\n", ""},
		{"\nintentional write failure\nRetried.\nDial\n", "\nintentional write failure\nDial\n"},

		// TestTransportAutomaticHTTP2 takes from a field whether the Transport
		// speaks HTTP/2. The pool does not change that.
		{"if reg := tr.TLSNextProto[\"h2\"] != nil; reg", "if reg := tr.SuiteSpeaksHTTP2(); reg"},
	}},
}

// apply returns the source as patched.
func (p patch) apply(source string) (string, error) {
	for _, r := range p.renames {
		var err error
		if source, err = r.apply(p.file, source); err != nil {
			return "", err
		}
	}
	for _, r := range p.replaces {
		if n := strings.Count(source, r.old); n != 1 {
			return "", fmt.Errorf("%w: %s has %d times %q, want it once", errChanged, p.file, n, r.old)
		}
		source = strings.Replace(source, r.old, r.new, 1)
	}
	return source, nil
}

func (r rename) apply(file, source string) (string, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	for _, d := range syntax.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Name.Name == r.from && receiverOf(f) == r.receiver {
			at := set.Position(f.Name.Pos()).Offset
			return source[:at] + r.to + source[at+len(r.from):], nil
		}
	}
	name := r.from
	if r.receiver != "" {
		name = "(*" + r.receiver + ")." + name
	}
	return "", fmt.Errorf("%w: %s has no func %s", errChanged, file, name)
}

// receiverOf returns the type whose method f is, through a pointer, or "".
func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return ""
	}
	name, _ := star.X.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}
