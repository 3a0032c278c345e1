package house

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// wellKnown are the methods of interfaces that everybody knows how to use.
var wellKnown = []string{
	"Error", "Unwrap", "Is", "Timeout", "Temporary",
	"String", "GoString", "LogValue", "WriteTo",
	"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON",
	"ServeHTTP", "Describe", "Collect",
}

// noExample says which entry points have no Example, and why. A name that ends
// in a dot is all methods of a type.
var noExample = map[string]string{
	"metrics.Host.":                "the package's Example shows how to record",
	"metrics.Meter.Accounts":       "for package metricstest, which has Examples",
	"pool.Transport.Accounts":      "for package metricstest, which has Examples",
	"grpcpool.ClientConn.Accounts": "for package metricstest, which has Examples",
	"metrics.Conn.":                "the package's Example shows how to record",
	"otel.Exporter.Dialed":         "for a Meter to call",
	"otel.Exporter.Ended":          "for a Meter to call",
	"otel.Exporter.Used":           "for a Meter to call",
	"otel.Exporter.Waited":         "for a Meter to call",
	"pool.Transport.CancelRequest": "deprecated, as that of http.Transport",
	"linger.Conn.Close":            "every Example of the package has it",
	"linger.Conn.OnClosed":         "for pools that need to know more than a net.Conn tells",
	"linger.Conn.PresetFinReset":   "for pools that vouch for every connection",
	"linger.Conn.Sending":          "for pools that put off a close",
	"linger.Conn.Sent":             "for pools that put off a close",
	"linger.Conn.SetAccount":       "for those who keep accounts of their own",
	"linger.Conn.Silence":          "for those who observe a goodbye",
	"dialer.Destination.Left":      "in the Example of Diagnose",
	"dialer.Report.RunningOut":     "in the Example of Diagnose",
	"dialer.PortRange.Contains":    "in the Example of PortRange",
	"dialer.PortRange.Len":         "in the Example of PortRange",
	"debug.Page.Close":             "in the Example of New",
	"debug.Func.Snapshot":          "in the Example of Func",
}

// Whoever reads go doc alone sees how each thing is used: every package-level
// function and every method of a public package has an Example that runs, or at
// least compiles, and so has every type that is for users to fill in: those
// whose comment says what the zero value is.
func TestExamples(t *testing.T) {
	wanted, have := map[string]bool{}, map[string]bool{}
	for _, f := range goFiles(t) {
		if within(f.dir, "internal") || strings.Contains(f.dir, "/internal/") || within(f.dir, "examples") || f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range entryPoints(decl) {
				switch example, is := strings.CutPrefix(name, "Example"); {
				case f.test && is:
					have[path.Base(f.dir)+"."+example] = true
				case !f.test:
					wanted[path.Base(f.dir)+"."+name] = true
				}
			}
		}
	}
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		owner := name[:strings.LastIndex(name, ".")+1]
		exempt := ""
		for _, n := range []string{name, owner} {
			if noExample[n] != "" {
				exempt, used[n] = n, true
			}
		}
		switch shown := hasExample(have, name); {
		case !shown && exempt == "":
			t.Errorf("%s has no Example", name)
		case shown && exempt == name:
			t.Errorf("%s has an Example, and does not belong into noExample", name)
		}
	}
	for name := range noExample {
		if !used[name] {
			t.Errorf("noExample names %s, which is not there", name)
		}
	}
}

// entryPoints returns what a declaration adds to a package's interface: "F",
// "T.M", and "T" for a type that users fill in.
func entryPoints(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || slices.Contains(wellKnown, d.Name.Name) || strings.HasSuffix(d.Name.Name, "ForTesting") {
			return nil // the last are in no build but a test's
		}
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		if owner := receiver(d); ast.IsExported(owner) {
			return []string{owner + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok || !ts.Name.IsExported() {
				continue
			}
			_, isStruct := ts.Type.(*ast.StructType)
			if doc := d.Doc.Text() + ts.Doc.Text(); isStruct && strings.Contains(strings.ReplaceAll(doc, "\n", " "), "The zero ") {
				names = append(names, ts.Name.Name)
			}
		}
		return names
	}
	return nil
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// hasExample reports whether one of the examples is that of a name such as
// "pool.Transport.Warm", with or without a suffix of its own.
func hasExample(have map[string]bool, name string) bool {
	pkg, rest, _ := strings.Cut(name, ".")
	want := pkg + "." + strings.ReplaceAll(rest, ".", "_")
	for example := range have {
		suffix, ok := strings.CutPrefix(example, want)
		if ok && (suffix == "" || suffix[0] == '_' && len(suffix) > 1 && !ast.IsExported(suffix[1:])) {
			return true
		}
	}
	return false
}

func TestHasExample(t *testing.T) {
	have := map[string]bool{"pool.Transport_Warm": true, "pool.Transport_events": true, "pool.Keys": true}
	for name, want := range map[string]bool{
		"pool.Transport.Warm":  true,
		"pool.Transport":       true,
		"pool.Transport.Stats": false,
		"pool.Key":             false,
		"grpcpool.Transport":   false,
	} {
		if hasExample(have, name) != want {
			t.Errorf("%s: found %v, want %v", name, !want, want)
		}
	}
}
