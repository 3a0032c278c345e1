// Package debug is a page about a program's connections, for whoever is on
// call. It answers in this order: is this program leaving TIME_WAITs behind, is
// it near the limit of ports, to whom, why were connections not reused, and
// does it forget response bodies.
//
// It is mounted as net/http/pprof is, under any path:
//
//	meter := &metrics.Meter{}
//	transport := &pool.Transport{Meter: meter}
//	...
//	page, err := debug.New(debug.Config{Sources: []debug.Source{
//		{Name: "payments", Accounts: meter},
//	}})
//	...
//	defer page.Close()
//	mux.Handle("/debug/lastack/", page)
//
// Where nobody has given the pool a Meter, [Func] shows what its method Stats
// returns, without the kernel's word and the lives of its connections.
//
// The page keeps a sample every five seconds for a quarter of an hour, so that
// its plots show how things came to be before it was opened. It is whole
// without JavaScript; with it, it renews itself every second. The same content
// comes as text and as JSON:
//
//	curl 'localhost:6060/debug/lastack/?format=text'
//	curl 'localhost:6060/debug/lastack/?format=json'
//
// # Who may see it
//
// Only clients on the same machine, unless [Config.Allow] says otherwise:
// the page names hosts and source files. [Local] says what it cannot see: a
// proxy on the same machine that hides. Nothing that is asked of the page changes
// anything.
//
// # What it costs
//
// One goroutine, the memory of the samples (some 300 kB for each source), and
// one Snapshot of each source every five seconds. The kernel is only asked
// while somebody looks, and for no more than a twentieth of the time.
package debug
