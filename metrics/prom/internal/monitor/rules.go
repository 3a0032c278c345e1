package monitor

import (
	"bytes"
	"fmt"
	"strconv"
)

// A rule is one alert.
type rule struct {
	name     string
	expr     string
	wait     string // for how long it must hold
	severity string
	summary  string
	advice   string
}

// by is what an alert is for: one host of one pool of one process.
const by = "by (job, instance, lastack_pool_name, server_address, server_port)"

// ports is the part of the local ports that a destination's connections and
// TIME_WAITs take, over all pools of a process. Each host takes ports as if its
// name were one address, and the sum of the hosts that are not told apart says
// nothing. Where nothing was dialled, it is a server that counts its clients,
// all of them at one port.
const ports = `((sum by (job, instance, server_address, server_port) (@lastack.open_connections@{server_address!="_other"})` +
	` + sum by (job, instance, server_address, server_port) (@lastack.time_wait.standing@{server_address!="_other"}))` +
	` and on (job, instance, server_address, server_port) @lastack.connection.dials@)` +
	` / on (job, instance) group_left max by (job, instance) (@lastack.host.ephemeral_port.limit@)`

func rules() []rule {
	all := []rule{
		{
			name:     "LastackTimeWait",
			expr:     "sum " + by + " (rate(@lastack.time_wait.created@[5m])) > 0",
			wait:     "15m",
			severity: "warning",
			summary:  "Connections to {{ $labels.server_address }} leave TIME_WAIT sockets on this side.",
			advice:   "lastack_connection_closed_total by lastack_close_outcome says how they end, lastack_connection_left_total why. A few may be FINs that crossed; a steady rate is not.",
		},
		{
			name:     "LastackPortBudget",
			expr:     ports + " > 0.7",
			wait:     "2m",
			severity: "warning",
			summary:  "{{ $value | humanizePercentage }} of the local ports for {{ $labels.server_address }} are taken.",
			advice:   "Share connections, keep them, add source addresses, or widen net.ipv4.ip_local_port_range. Where the name has several addresses there is more room than this says; where other programs go to them, less.",
		},
		{
			name:     "LastackPortsNearlyGone",
			expr:     ports + " > 0.9",
			wait:     "1m",
			severity: "critical",
			summary:  "{{ $value | humanizePercentage }} of the local ports for {{ $labels.server_address }} are taken: dials are about to fail.",
			advice:   "As for LastackPortBudget.",
		},
		{
			name:     "LastackBodyNotDrained",
			expr:     "sum " + by + ` (rate(@lastack.connection.left@{lastack_leave_reason="body_not_drained"}[5m])) > 0`,
			wait:     "15m",
			severity: "info",
			summary:  "Connections to {{ $labels.server_address }} are given up because responses are not read to the end.",
			advice:   "Read response bodies to their end before closing them, or ask for less.",
		},
		{
			name:     "LastackLeak",
			expr:     "sum " + by + ` (increase(@lastack.leaks@{lastack_leak_kind="abandoned"}[15m])) > 0`,
			wait:     "0m",
			severity: "warning",
			summary:  "The program forgets to close response bodies of {{ $labels.server_address }}.",
			advice:   "The pool has found and closed them; its log and its page say where in the program they were made.",
		},
		{
			name: "LastackRetries",
			expr: "sum " + by + " (rate(@lastack.request.retries@[5m])) / sum " + by +
				" (rate(@lastack.connection.acquires@[5m])) > 0.001",
			wait:     "15m",
			severity: "info",
			summary:  "{{ $value | humanizePercentage }} of the attempts to {{ $labels.server_address }} are retries.",
			advice:   "If the server closes idle connections early, rest for a shorter time than it allows: lastack_server_keepalive_timeout_seconds.",
		},
		{
			name:     "LastackWaitTimeouts",
			expr:     "sum " + by + " (increase(@lastack.connection.timeouts@[5m])) > 0",
			wait:     "0m",
			severity: "warning",
			summary:  "Requests to {{ $labels.server_address }} give up waiting for a connection.",
			advice:   "The limit on connections is too low for the load, or the server has become slow: lastack_connection_use_time_seconds.",
		},
		{
			name: "LastackDialErrors",
			expr: "sum " + by + " (rate(@lastack.connection.dial_errors@[5m])) / sum " + by +
				" (rate(@lastack.connection.dials@[5m])) > 0.05",
			wait:     "5m",
			severity: "warning",
			summary:  "{{ $value | humanizePercentage }} of the dials to {{ $labels.server_address }} fail.",
			advice:   "The errors that the requests get name the cause, and for ports what to do.",
		},
		{
			name:     "LastackNotReconciled",
			expr:     "@lastack.host.time_wait.reconciled@ == 0",
			wait:     "10m",
			severity: "info",
			summary:  "The kernel has other TIME_WAIT sockets than the pool counts.",
			advice:   "The Snapshot's Kernel.Why says which. It is a defect of the accounts, not of the connections: please report it.",
		},
	}
	for i := range all {
		all[i].expr = promql(all[i].expr)
	}
	return all
}

// alerts returns the rules in Prometheus' YAML. A string of JSON is one of YAML.
func alerts() []byte {
	var b bytes.Buffer
	b.WriteString("# Alert rules for pools of lastack. Generated by go generate; do not edit.\n")
	b.WriteString("groups:\n  - name: lastack\n    rules:\n")
	for _, r := range rules() {
		fmt.Fprintf(&b, "      - alert: %s\n", r.name)
		fmt.Fprintf(&b, "        expr: %s\n", strconv.Quote(r.expr))
		fmt.Fprintf(&b, "        for: %s\n", r.wait)
		fmt.Fprintf(&b, "        labels:\n          severity: %s\n", r.severity)
		fmt.Fprintf(&b, "        annotations:\n          summary: %s\n          description: %s\n", strconv.Quote(r.summary), strconv.Quote(r.advice))
	}
	return b.Bytes()
}
