// Package table is the one list of what the accounts are called outside of
// this program. The Prometheus collector, the OpenTelemetry instruments, the
// dashboard and the alert rules are all made from [Metrics], so their names
// cannot drift apart.
//
// # Names
//
// A metric has one name, OpenTelemetry's. Its name in Prometheus is the one
// into which OpenTelemetry translates it ([Metric.Prometheus]), so that one
// dashboard serves both ways. http.client.* are OpenTelemetry's own conventions for HTTP
// clients; all else is below lastack. No name may end in .count, .sum or
// .bucket, which Prometheus keeps for its histograms.
//
// # Labels
//
// Every metric has the name of the pool, where it was given one. Those of a
// host have server.address and server.port besides, never the address of a
// peer, of which there may be any number. At most one more attribute follows,
// and its values are few.
//
// What the accounts do not know is not in the table: the version of the
// protocol, the method of a request, the type of an error.
//
// # Other modules
//
// metrics/prom and metrics/otel are modules of their own, and a program may have
// them older than this package. After a release, what is exported here stays.
package table
