package main

import "slices"

// An entry is a test that the pool is not expected to pass.
type entry struct {
	test   test
	reason string
}

// lists are the tests that the pool is not expected to pass.
type lists struct {
	// leftOut look into http.Transport itself, and say nothing of a pool.
	leftOut []entry

	// known are the known differences: what the pool does otherwise, and why.
	// The suite fails when one of them passes, so that the list does not rot.
	known []entry
}

var theLists = lists{
	leftOut: []entry{
		{test{"net/http", "TestTransportMaxConnsPerHostDialCancellation"},
			"waits for a hook in Transport.queueForDial"},
		{test{"net/http", "TestTransportTraceGotConnH2IdleConns"},
			"puts a connection of its own making into Transport.idleConn"},
		{test{"net/http", "TestTransportCloseIdleConnsThenReturn"},
			"puts connections of its own making into Transport.idleConn"},
		{test{"net/http", "TestOmitHTTP2"},
			"runs go test net/http again, in a child that knows nothing of the pool"},
	},
	known: []entry{
		{test{"net/http", "TestCancelRequestWhenSharingConnection"},
			"wants a connection lent again while net/http still delivers a response without a body; " +
				"a pool that does so loses such responses when it closes the connection"},
		{test{"net/http", "TestClientInsecureTransport"},
			"changes Base.TLSClientConfig after the first request"},
		{test{"net/http", "TestTransportKeepAlives/h1"},
			"changes Base.DisableKeepAlives after the first request"},
		{test{"net/http", "TestTransportDiscardsUnneededConns/h2"},
			"wants nine of ten dials that a burst began closed at once; the pool keeps them until they have rested"},
	},
}

// has reports whether the test, with all of its parts, is on a list.
func (l lists) has(t test) bool {
	return slices.ContainsFunc(slices.Concat(l.leftOut, l.known), func(e entry) bool { return t.isPartOf(e.test) })
}

// names returns the names of the package's tests that are on a list.
func (l lists) names(pkg string) []string {
	var names []string
	for _, e := range slices.Concat(l.leftOut, l.known) {
		if e.test.pkg == pkg {
			names = append(names, e.test.name)
		}
	}
	return names
}
