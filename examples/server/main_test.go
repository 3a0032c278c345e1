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

func TestServers(t *testing.T) {
	out, err := lab.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "balance: <nil>\n"); n != len(servers) {
		t.Errorf("%d accounts balance, want %d:\n%s", n, len(servers), out)
	}
	exact, left := strings.Contains(out, "is exact"), 0
	for _, s := range servers {
		_, rest, found := strings.Cut(out, "\n"+s.name+" ")
		if !found {
			t.Fatalf("no row of %q in\n%s", s.name, out)
		}
		for i, line := range strings.SplitN(rest, "\n", 3)[:2] { // stock's, and ours
			f := strings.Fields(strings.TrimPrefix(line, "  behind linger.Closer.Listener"))
			if n, err := strconv.Atoi(f[0]); err != nil || n < conns {
				t.Errorf("%s: %s connections, want %d at least:\n%s", s.name, f[0], conns, out)
			}
			if !exact || f[1] == "0" {
				continue
			}
			left++
			if i == 1 {
				t.Errorf("%s: the server has %s TIME_WAITs:\n%s", s.name, f[1], out)
			}
		}
	}
	if exact && left == 0 {
		t.Errorf("stock leaves nothing: would one of ours be seen?\n%s", out)
	}
}
