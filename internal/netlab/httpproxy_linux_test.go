package netlab

import (
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

// nginx in front of nginx keeps its connections to the backend, or makes one
// for each request.
func TestNginxHTTP(t *testing.T) {
	Run(t, func(lab *Lab) {
		for keep, want := range map[bool]int{true: 1, false: 0} {
			backend := lab.Start(t, Nginx, Config{})
			proxy := lab.Start(t, NginxHTTP(backend.Plain, keep), Config{})
			e := proxy.endpoints()[0]
			c := e.client(t)
			for range 3 {
				if n := e.get(t, c, "/64k"); n != FileSize {
					t.Errorf("keep %t: %d bytes", keep, n)
				}
			}
			Eventually(t, settle, "the connections to the backend are as they should be", func() bool {
				s := lab.States(t, backend.Plain).Client
				return s.By[sockdiag.Established] == want && s.By[sockdiag.CloseWait] == 0
			})
		}
	})
}
