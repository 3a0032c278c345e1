package main

import (
	"os"
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

// TestScenes: every question is answered, and where the kernel can be asked, our
// endings leave nothing on either side.
func TestScenes(t *testing.T) {
	out, err := lab.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range scenes {
		_, rest, found := strings.Cut(out, "\n"+sc.name+" ")
		if !found {
			t.Fatalf("no row of %q in\n%s", sc.name, out)
		}
		line, _, _ := strings.Cut(rest, "\n")
		f := strings.Fields(line) // connections, answers, TIME_WAITs of clients and server, time
		if f[0] != "200" || f[1] != "600" {
			t.Errorf("%s: %s connections and %s answers in\n%s", sc.name, f[0], f[1], out)
		}
		if left := f[2] != "0" || f[3] != "0"; strings.Contains(out, "is exact") && left == sc.ours {
			t.Errorf("%s: TIME_WAITs %s and %s in\n%s", sc.name, f[2], f[3], out)
		}
	}
}
