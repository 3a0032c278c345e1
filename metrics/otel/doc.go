// Package otel exports the accounts of a pool to OpenTelemetry. It is a module
// of its own, and needs OpenTelemetry's API for metrics only: neither its SDK
// nor its global provider. A program that does not import it does not get to
// know any of them.
//
// [New] takes a provider, and what returns a Snapshot. Counters and levels are
// read from it when metrics are collected. Distributions cannot be given to
// OpenTelemetry so; they are recorded as they happen, for which the pool's Meter
// must have the Exporter as its Observer before it is used:
//
//	meter := new(metrics.Meter)
//	exporter, err := otel.New(provider, meter.Snapshot, otel.Pool("payments"))
//	…
//	meter.Observer = exporter
//	transport := &pool.Transport{Meter: meter}
//
// # Instruments
//
// http.client.* are those of OpenTelemetry's conventions for HTTP clients, word
// for word. They are under development there, and may change; [WithoutHTTP]
// leaves them out. All others are the pool's own.
//
// Every instrument has the attribute lastack.pool.name, where [Pool] gives one.
// Those of a host have server.address and server.port as well, which are those
// of the host's name and never a peer's address. There is one more attribute at
// most. What the accounts do not know is not there: network.protocol.version
// and http.request.method.
//
//	http.client.open_connections               up-down  by http.connection.state: active, idle
//	http.client.connection.duration            histogram
//	http.client.active_requests                up-down
//	lastack.requests                           counter
//	lastack.request.retries                    counter
//	lastack.connection.acquires                counter  by lastack.acquire.source: reused, new
//	lastack.connection.dials                   counter  by lastack.dial.reason
//	lastack.connection.dial_errors             counter
//	lastack.connection.active_dials            up-down
//	lastack.connection.create_time             histogram
//	lastack.connection.dial_phase.duration     histogram  by lastack.dial.phase: dns, connect, tls
//	lastack.connection.wait_time               histogram
//	lastack.connection.use_time                histogram
//	lastack.connection.requests                histogram
//	lastack.connection.waits                   counter
//	lastack.connection.pending_requests        up-down
//	lastack.connection.timeouts                counter
//	lastack.connection.created                 counter
//	lastack.connection.unmanaged               counter
//	lastack.open_connections                   up-down  by lastack.connection.state: active, idle, leaving
//	lastack.connection.left                    counter  by lastack.leave.reason
//	lastack.connection.closed                  counter  by lastack.close.outcome
//	lastack.connection.hurried                 counter
//	lastack.time_wait.created                  counter
//	lastack.time_wait.standing                 up-down
//	lastack.counterfactual.time_wait.created   counter  by lastack.model
//	lastack.counterfactual.time_wait.standing  up-down  by lastack.model
//	lastack.counterfactual.dials               counter  by lastack.model
//	lastack.leaks                              counter  by lastack.leak.kind: abandoned, late
//	lastack.server.keepalive_timeout           gauge  by lastack.source: header, observed
//	lastack.host.time_wait.created             counter  of the system, as the next two
//	lastack.host.time_wait.standing            gauge  by lastack.socket.owner: pool, other
//	lastack.host.time_wait.reconciled          gauge
//	lastack.host.ephemeral_port.limit          gauge  of the system; Linux only
//
// Those of lastack.host.time_wait are what the kernel has said when
// [metrics.Meter.Reconcile] asked it last. They are not there before, nor ten
// minutes after; so a program that wants them asks:
//
//	for range time.Tick(time.Minute) {
//		meter.Reconcile(ctx)
//	}
//
// grpc-go has instruments of its own, grpc.*, for calls and connections, which
// its package stats/opentelemetry switches on. They are not repeated here.
package otel
