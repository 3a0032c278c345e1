package table

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPrometheusNames(t *testing.T) {
	for name, want := range map[string]string{
		"http.client.open_connections":      "http_client_open_connections",
		"http.client.connection.duration":   "http_client_connection_duration_seconds",
		"http.client.active_requests":       "http_client_active_requests",
		"lastack.connection.dials":          "lastack_connection_dials_total",
		"lastack.connection.requests":       "lastack_connection_requests",
		"lastack.server.keepalive_timeout":  "lastack_server_keepalive_timeout_seconds",
		"lastack.time_wait.created":         "lastack_time_wait_created_total",
		"lastack.host.ephemeral_port.limit": "lastack_host_ephemeral_port_limit",
	} {
		m := Lookup(name)
		if m == nil {
			t.Errorf("%s is not in the table", name)
		} else if got := m.Prometheus(); got != want {
			t.Errorf("%s is %s in Prometheus, want %s", name, got, want)
		}
	}
	if Lookup("lastack.nothing") != nil {
		t.Error("found what is not in the table")
	}
}

// What every row must be.
func TestRows(t *testing.T) {
	word := regexp.MustCompile(`^(http\.client|lastack)(\.[a-z]+(_[a-z]+)*)+$`)
	seen := make(map[string]bool)
	for _, m := range Metrics {
		if !word.MatchString(m.Name) {
			t.Errorf("%s is no name", m.Name)
		}
		if m.HTTP != strings.HasPrefix(m.Name, "http.client.") {
			t.Errorf("%s: HTTP is %v", m.Name, m.HTTP)
		}
		for _, name := range []string{m.Name, m.Prometheus()} {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		for _, end := range []string{".count", ".sum", ".bucket", ".total", "_count"} {
			if strings.HasSuffix(m.Name, end) {
				t.Errorf("%s ends in %s, which Prometheus takes for something else", m.Name, end)
			}
		}
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: its meaning is no sentence: %q", m.Name, m.Help)
		}
		if m.Unit != "s" && !regexp.MustCompile(`^\{[a-z]+\}$`).MatchString(m.Unit) {
			t.Errorf("%s: Prometheus' name has to say more of the unit %q", m.Name, m.Unit)
		}
		if m.Attribute == "" && m.Values != nil {
			t.Errorf("%s has values of no attribute", m.Name)
		}
		readers := 0
		for _, given := range []bool{m.host != nil, m.hist != nil, m.whole != nil} {
			if given {
				readers++
			}
		}
		if readers != 1 {
			t.Errorf("%s is read in %d ways", m.Name, readers)
		}
		if (m.Kind == Histogram) != (m.hist != nil) || (m.Kind == Histogram) != (m.Bounds != nil) {
			t.Errorf("%s: kind %d does not suit how it is read", m.Name, m.Kind)
		}
		if !slices.IsSorted(m.Bounds) {
			t.Errorf("%s: bounds %v", m.Name, m.Bounds)
		}
	}
}
