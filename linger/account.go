package linger

// An Account is told what becomes of one connection. [Conn.SetAccount] gives a
// connection its Account; package metrics has one that counts.
//
// Closing is called by the goroutine that closes the connection and must not
// block. The other methods are called later, from a goroutine of the Closer.
type Account interface {
	// Closing says that the connection's owner has closed it and that its
	// farewell begins. It is called once, before Ended.
	Closing()

	// Ended says how the connection ended. It is called once. Hurried says
	// that the farewell had to skip its wait for the peer, because as many
	// farewells as the Closer allows were under way.
	Ended(e Ending, hurried bool)

	// TimeWait says that the kernel was seen to hold a TIME_WAIT for the
	// connection. It is called at most once, and may follow Ended.
	TimeWait()
}
