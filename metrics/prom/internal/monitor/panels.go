package monitor

// A panel is one plot of the dashboard.
type panel struct {
	title   string
	help    string
	kind    string // Grafana's: "stat", "timeseries", …
	unit    string // Grafana's
	width   int    // of 24
	stacked bool
	queries []query
}

type query struct {
	expr   string
	legend string
}

// some selects what the dashboard's variables say.
const some = `{lastack_pool_name=~"$pool",server_address=~"$host"}`

// where selects it, and one value of another label.
func where(label, value string) string {
	return `{lastack_pool_name=~"$pool",server_address=~"$host",` + label + `="` + value + `"}`
}

func rate(name, selector string) string {
	return "rate(@" + name + "@" + selector + "[$__rate_interval])"
}

func quantile(q, name string) string {
	return "histogram_quantile(" + q + ", sum by (le) (rate(@" + name + "@_bucket" + some + "[$__rate_interval])))"
}

func panels() []panel {
	all := []panel{
		{
			title: "TIME_WAIT sockets created", kind: "stat", unit: "short", width: 6,
			help:    "By the pool's connections on this side, as the kernel says.",
			queries: []query{{"sum(increase(@lastack.time_wait.created@" + some + "[$__range]))", "created"}},
		},
		{
			title: "Would have been, at least", kind: "stat", unit: "short", width: 6,
			help:    "With net/http's default transport and the same requests. On a saturated machine it would have been more.",
			queries: []query{{"sum(increase(@lastack.counterfactual.time_wait.created@" + where("lastack_model", "net_http_default") + "[$__range]))", "net_http_default"}},
		},
		{
			title: "Reuse", kind: "stat", unit: "percentunit", width: 6,
			help: "Attempts that were given a connection which had served before.",
			queries: []query{{"sum(" + rate("lastack.connection.acquires", where("lastack_acquire_source", "reused")) + ") / sum(" +
				rate("lastack.connection.acquires", some) + ")", "reused"}},
		},
		{
			title: "Tightest port budget", kind: "stat", unit: "percentunit", width: 6,
			help:    "Of the local ports for one destination, the part that connections and TIME_WAITs of one process take.",
			queries: []query{{"max(" + ports + ")", "taken"}},
		},
		{
			title: "TIME_WAIT standing", kind: "timeseries", unit: "short", width: 12,
			help: "Of the last 60 seconds: the pool's, and those that there would be without it.",
			queries: []query{
				{"sum(@lastack.time_wait.standing@" + some + ")", "this pool"},
				{"sum by (lastack_model) (@lastack.counterfactual.time_wait.standing@" + some + ")", "{{lastack_model}}"},
				{"max(@lastack.host.ephemeral_port.limit@)", "ports for one destination"},
				{`max by (instance) (@lastack.host.time_wait.standing@{lastack_pool_name=~"$pool",lastack_socket_owner="other"})`, "others' on {{instance}}"},
			},
		},
		{
			title: "TIME_WAIT created", kind: "timeseries", unit: "cps", width: 12,
			help: "The pool's, and what the same requests would have left without it, at least; per_request is at most.",
			queries: []query{
				{"sum(" + rate("lastack.time_wait.created", some) + ")", "this pool"},
				{"sum by (lastack_model) (" + rate("lastack.counterfactual.time_wait.created", some) + ")", "{{lastack_model}}"},
			},
		},
		{
			title: "Connections", kind: "timeseries", unit: "short", width: 12, stacked: true,
			help: "By what they do; and dials in progress, and requests that wait.",
			queries: []query{
				{"sum by (lastack_connection_state) (@lastack.open_connections@" + some + ")", "{{lastack_connection_state}}"},
				{"sum(@lastack.connection.active_dials@" + some + ")", "dialing"},
				{"sum(@lastack.connection.pending_requests@" + some + ")", "requests waiting"},
			},
		},
		{
			title: "How connections ended", kind: "timeseries", unit: "cps", width: 12, stacked: true,
			help:    "local_first is what costs a TIME_WAIT on this side.",
			queries: []query{{"sum by (lastack_close_outcome) (" + rate("lastack.connection.closed", some) + ")", "{{lastack_close_outcome}}"}},
		},
		{
			title: "Why they left", kind: "timeseries", unit: "cps", width: 12, stacked: true,
			help:    "The first reason that each connection was given to serve no more.",
			queries: []query{{"sum by (lastack_leave_reason) (" + rate("lastack.connection.left", some) + ")", "{{lastack_leave_reason}}"}},
		},
		{
			title: "Why connections were dialled", kind: "timeseries", unit: "cps", width: 12, stacked: true,
			help: "And what the models would have dialled for the same requests.",
			queries: []query{
				{"sum by (lastack_dial_reason) (" + rate("lastack.connection.dials", some) + ")", "{{lastack_dial_reason}}"},
			},
		},
		{
			title: "Dials", kind: "timeseries", unit: "cps", width: 12,
			help: "The pool's, and what the same requests would have dialled without it.",
			queries: []query{
				{"sum(" + rate("lastack.connection.dials", some) + ")", "this pool"},
				{"sum by (lastack_model) (" + rate("lastack.counterfactual.dials", some) + ")", "{{lastack_model}}"},
			},
		},
		{
			title: "Requests", kind: "timeseries", unit: "reqps", width: 12,
			help: "Begun; and attempts on connections, new and reused.",
			queries: []query{
				{"sum(" + rate("lastack.requests", some) + ")", "requests"},
				{"sum by (lastack_acquire_source) (" + rate("lastack.connection.acquires", some) + ")", "on a connection: {{lastack_acquire_source}}"},
			},
		},
		{
			title: "Dial and wait", kind: "timeseries", unit: "s", width: 12,
			help: "How long it takes to get a connection, where one must be dialled or waited for.",
			queries: []query{
				{quantile("0.5", "lastack.connection.create_time"), "dial p50"},
				{quantile("0.99", "lastack.connection.create_time"), "dial p99"},
				{quantile("0.5", "lastack.connection.wait_time"), "wait p50"},
				{quantile("0.99", "lastack.connection.wait_time"), "wait p99"},
			},
		},
		{
			title: "Parts of a dial, p99", kind: "timeseries", unit: "s", width: 12,
			help: "Finding the addresses, connecting, and the TLS handshake.",
			queries: []query{{"histogram_quantile(0.99, sum by (le, lastack_dial_phase) (rate(@lastack.connection.dial_phase.duration@_bucket" +
				some + "[$__rate_interval])))", "{{lastack_dial_phase}}"}},
		},
		{
			title: "Use of connections", kind: "timeseries", unit: "s", width: 12,
			help: "How long a request has its connection.",
			queries: []query{
				{quantile("0.5", "lastack.connection.use_time"), "p50"},
				{quantile("0.99", "lastack.connection.use_time"), "p99"},
			},
		},
		{
			title: "Requests of a connection", kind: "timeseries", unit: "short", width: 12,
			help: "That a connection had served when it ended.",
			queries: []query{
				{quantile("0.5", "lastack.connection.requests"), "p50"},
				{"sum(rate(@lastack.connection.requests@_sum" + some + "[$__rate_interval])) / sum(rate(@lastack.connection.requests@_count" +
					some + "[$__rate_interval]))", "mean"},
			},
		},
		{
			title: "What went wrong", kind: "timeseries", unit: "cps", width: 12,
			help: "All of these should be rare.",
			queries: []query{
				{"sum(" + rate("lastack.connection.dial_errors", some) + ")", "dial failed"},
				{"sum(" + rate("lastack.connection.timeouts", some) + ")", "gave up waiting"},
				{"sum(" + rate("lastack.request.retries", some) + ")", "sent again"},
				{"sum by (lastack_leak_kind) (" + rate("lastack.leaks", some) + ")", "body not closed: {{lastack_leak_kind}}"},
				{"sum(" + rate("lastack.connection.hurried", some) + ")", "farewell cut short"},
				{"sum(" + rate("lastack.connection.unmanaged", some) + ")", "connection not ours to end"},
			},
		},
		{
			title: "Port budget by destination", kind: "timeseries", unit: "percentunit", width: 12,
			help:    "The ten tightest. Where the name has several addresses there is more room than this says.",
			queries: []query{{"topk(10, " + ports + ")", "{{server_address}}:{{server_port}} from {{instance}}"}},
		},
		{
			title: "Servers' idle limits", kind: "timeseries", unit: "s", width: 24,
			help: "As they said, or as was seen. A pool that rests for longer loses connections to them.",
			queries: []query{{"min by (server_address, server_port, lastack_source) (@lastack.server.keepalive_timeout@" + some + ")",
				"{{server_address}}:{{server_port}} ({{lastack_source}})"}},
		},
	}
	for _, p := range all {
		for i := range p.queries {
			p.queries[i].expr = promql(p.queries[i].expr)
		}
	}
	return all
}
