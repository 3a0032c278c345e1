package monitor

import (
	"fmt"
	"regexp"

	"github.com/lastack/lastack/metrics/internal/table"
)

// Files returns what is generated: file name → content.
func Files() map[string][]byte {
	return map[string][]byte{"dashboard.json": dashboard(), "alerts.yml": alerts()}
}

// Queries returns all PromQL that is generated, with the dashboard's variables
// as they are.
func Queries() []string {
	var all []string
	for _, p := range panels() {
		for _, q := range p.queries {
			all = append(all, q.expr)
		}
	}
	for _, r := range rules() {
		all = append(all, r.expr)
	}
	return all
}

var named = regexp.MustCompile(`@([a-z._]+)@`)

// promql puts the names that Prometheus has for them in the place of @names@.
func promql(query string) string {
	return named.ReplaceAllStringFunc(query, func(name string) string {
		m := table.Lookup(name[1 : len(name)-1])
		if m == nil {
			panic(fmt.Sprintf("no metric is named %s", name))
		}
		return m.Prometheus()
	})
}
