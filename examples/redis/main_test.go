package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/internal/netlab"
)

func TestMain(m *testing.M) {
	if os.Getenv(lab.RoleEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestRedis(t *testing.T) {
	if _, err := exec.LookPath(program); err != nil {
		netlab.Missing(t, program, "apt-get install redis-server")
	}
	out, err := lab.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := kinds()
	for i, kind := range all {
		_, rest, found := strings.Cut(out, "\n"+kind.name+" ")
		if !found {
			t.Fatalf("no row of %q in\n%s", kind.name, out)
		}
		line, _, _ := strings.Cut(rest, "\n")
		f := strings.Fields(line) // calls, counted, TIME_WAITs here and there, time
		if f[0] != "600" || f[1] != "600" {
			t.Errorf("%s: not every call was counted in\n%s", kind.name, out)
		}
		if !strings.Contains(out, "is exact") {
			continue
		}
		switch stock, knowing := i == 0, i >= len(all)-2; {
		case stock && f[2] == "0":
			t.Errorf("%s leaves nothing: would one of ours be seen?\n%s", kind.name, out)
		case knowing && f[2] != "0":
			t.Errorf("%s leaves TIME_WAITs on this side:\n%s", kind.name, out)
		}
	}
}

func TestMissingServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	out, err := lab.Output(t.Context())
	if err == nil || !strings.Contains(out, errMissing.Error()) {
		t.Errorf("error %v; no %q in\n%s", err, errMissing, out)
	}
}
