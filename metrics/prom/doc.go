// Package prom exports the accounts of a pool to Prometheus. It is a module of
// its own: a program that does not import it does not get to know client_golang.
//
// [NewCollector] takes what returns a Snapshot, the Stats method of a pool or
// the Snapshot method of a [metrics.Meter]:
//
//	prometheus.MustRegister(prom.NewCollector(transport.Stats, prom.Pool("payments")))
//
// # Metrics
//
// The names are those of package otel of the same repository, as
// OpenTelemetry's specification translates them, so both may feed the same
// dashboard. Every metric has the label lastack_pool_name; those of a host have
// server_address and server_port as well, which are those of the host's name and
// never a peer's address. There is one more label at most.
//
//	http_client_open_connections                    gauge      by http_connection_state: active, idle
//	http_client_connection_duration_seconds         histogram
//	http_client_active_requests                     gauge
//	lastack_requests_total                          counter
//	lastack_request_retries_total                   counter
//	lastack_connection_acquires_total               counter    by lastack_acquire_source: reused, new
//	lastack_connection_dials_total                  counter    by lastack_dial_reason
//	lastack_connection_dial_errors_total            counter
//	lastack_connection_active_dials                 gauge
//	lastack_connection_create_time_seconds          histogram
//	lastack_connection_dial_phase_duration_seconds  histogram  by lastack_dial_phase: dns, connect, tls
//	lastack_connection_wait_time_seconds            histogram
//	lastack_connection_use_time_seconds             histogram
//	lastack_connection_requests                     histogram
//	lastack_connection_waits_total                  counter
//	lastack_connection_pending_requests             gauge
//	lastack_connection_timeouts_total               counter
//	lastack_connection_created_total                counter
//	lastack_connection_unmanaged_total              counter
//	lastack_open_connections                        gauge      by lastack_connection_state: active, idle, leaving
//	lastack_connection_left_total                   counter    by lastack_leave_reason
//	lastack_connection_closed_total                 counter    by lastack_close_outcome
//	lastack_connection_hurried_total                counter
//	lastack_time_wait_created_total                 counter
//	lastack_time_wait_standing                      gauge
//	lastack_counterfactual_time_wait_created_total  counter    by lastack_model
//	lastack_counterfactual_time_wait_standing       gauge      by lastack_model
//	lastack_counterfactual_dials_total              counter    by lastack_model
//	lastack_leaks_total                             counter    by lastack_leak_kind: abandoned, late
//	lastack_server_keepalive_timeout_seconds        gauge      by lastack_source: header, observed
//	lastack_host_time_wait_created_total            counter    of the system, as the next two
//	lastack_host_time_wait_standing                 gauge      by lastack_socket_owner: pool, other
//	lastack_host_time_wait_reconciled               gauge
//	lastack_host_ephemeral_port_limit               gauge      of the system; Linux only
//
// Those of lastack_host_time_wait are what the kernel has said when
// [metrics.Meter.Reconcile] asked it last. They are not there before, nor ten
// minutes after; so a program that wants them, and the alert for them, asks:
//
//	for range time.Tick(time.Minute) {
//		meter.Reconcile(ctx)
//	}
//
// What the pool has spared is no metric. It is
//
//	sum(rate(lastack_counterfactual_time_wait_created_total{lastack_model="net_http_default"}[5m]))
//	  - sum(rate(lastack_time_wait_created_total[5m]))
//
// and it may be less than nothing, which a counter could not show. The package
// comment of [metrics] says how far each model is to be believed.
//
// # Dashboard and alerts
//
// dashboard.json is a dashboard for Grafana, and alerts.yml are alert rules for
// Prometheus. Both lie beside this file, and both are generated from the table
// that the Collector is made from.
package prom

//go:generate go run ./internal/generate
