package metricstest

import "testing"

// ReportTimeWaits has the benchmark report "timewaits/op" and "dials/op": how
// many TIME_WAITs the pool's connections have left for each operation since this
// call, and how many connections were dialled. What rests when the benchmark is
// over is closed first, if the pool has a CloseIdleConnections, which takes no
// time of the benchmark's.
func ReportTimeWaits(b *testing.B, p Pool) {
	b.Helper()
	before := p.Accounts().Snapshot()
	b.Cleanup(func() {
		after := settle(p, 0, false)
		b.ReportMetric(float64(after.TimeWaits-before.TimeWaits)/float64(b.N), "timewaits/op")
		b.ReportMetric(float64(after.Dials-before.Dials)/float64(b.N), "dials/op")
	})
}
