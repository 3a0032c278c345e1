package grpcinterop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
)

func TestCases(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := start(t, secure, false)
		for via := range vias {
			for _, tc := range testcases {
				t.Run(fmt.Sprintf("%s/%s/%s", via, encryption(secure), tc.name), func(t *testing.T) {
					t.Parallel()
					cmd, out := s.client(t, new(netlab.Lab), client{Case: tc.name, Via: via})
					if err := cmd.Run(); err != nil || !strings.Contains(out.String(), passed) {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
		}
	}
}

// A case that cannot fail would say nothing.
func TestCasesCanFail(t *testing.T) {
	s := start(t, false, true)
	for _, tc := range testcases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cmd, out := s.client(t, new(netlab.Lab), client{Case: tc.name, Via: "DialOptions", Deaf: true})
			if err := cmd.Run(); err == nil || strings.Contains(out.String(), passed) {
				t.Errorf("the case passes where nothing works: %v\n%s", err, out)
			}
		})
	}
}

func encryption(secure bool) string {
	if secure {
		return "TLS"
	}
	return "plaintext"
}

// client returns the command that runs a case against the server, not yet
// started, and what it will have printed.
func (s *server) client(t *testing.T, lab *netlab.Lab, c client) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	if c.Iterations == 0 { // as interop/client when it is told nothing
		c.Iterations, c.RequestSize, c.ResponseSize = 10, 271828, 314159
	}
	c.Address, c.Also, c.Roots = s.addr.String(), s.also.String(), s.roots
	arg, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := lab.Child(t, clientChild, string(arg)), &bytes.Buffer{}
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=20")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}
