// Package netlab is the kernel ring of our tests: it runs a test in a network
// namespace of its own and says what the kernel holds there.
//
//	func TestIdleExpiry(t *testing.T) {
//		netlab.Run(t, func(lab *netlab.Lab) {
//			srv := lab.Start(t, netlab.Nginx, netlab.Config{})
//			before := lab.Counters(t)
//			… use srv.Plain …
//			lab.Settle(t, srv.Plain, 5*time.Second)
//			client, server := lab.TimeWaits(t, srv.Plain)
//			t.Log(lab.States(t, srv.Plain), lab.Counters(t).Since(before))
//		})
//	}
//
// A network namespace belongs to a thread, and goroutines move between threads.
// So Run executes the test binary again, for this one test, in a process whose
// every thread is in the new namespace. The counters, ports and sockets there
// are the test's alone, and the numbers can be compared exactly.
//
// The lab has no delay and no second host: everything talks over the loopback
// device, whose packets [Lab.Loss] and [Lab.BlackHole] can drop.
//
// What a machine lacks makes a test skip ([Missing]), except where CI=true:
// there it makes the test fail, since a test that nobody runs proves nothing.
package netlab
