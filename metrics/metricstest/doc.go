// Package metricstest holds a program's own tests to what a pool promises: no
// TIME_WAIT, and no connection that is lost to a forgotten body.
//
//	func TestClient(t *testing.T) {
//		tr := new(pool.Transport)
//		metricstest.NoTimeWait(t, tr)
//		metricstest.NoLeaks(t, tr)
//		… use tr …
//	}
//
// The checks are made when the test is over, and count from when they were asked
// for, so that tests may share a pool, one after the other. They need no
// privileges: they read the accounts, and on Linux also ask the kernel for the
// sockets whose addresses the accounts know.
package metricstest
