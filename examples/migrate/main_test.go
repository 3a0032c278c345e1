package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lastack/lastack/examples/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(lab.RoleEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestMigrate(t *testing.T) {
	out, err := lab.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Deleted, and why:", " 0 resting, 0 busy, 0 leaving\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	exact := strings.Contains(out, "is exact")
	var rows [][]string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 5 && f[len(f)-5] == strconv.Itoa(bursts*callers) {
			rows = append(rows, f[len(f)-5:]) // calls, failed, dialled, TIME_WAITs here and there
		}
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows in\n%s", len(rows), out)
	}
	for i, r := range rows {
		if r[1] != "0" {
			t.Errorf("row %d: %s calls failed in\n%s", i, r[1], out)
		}
		if exact && (r[3] == "0") != (i > 0) {
			t.Errorf("row %d: %s TIME_WAITs in\n%s", i, r[3], out)
		}
	}
}
