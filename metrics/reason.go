package metrics

// Why a connection leaves, for [Conn.Leave]. Other reasons may be given, here and
// for dials; they should be few, since each is a time series.
const (
	IdleTimeout    = "idle_timeout"     // it rested too long
	MaxAge         = "max_age"          // it had lived too long
	MaxRequests    = "max_requests"     // it had carried enough requests
	MaxIdle        = "max_idle"         // too many were resting
	Excess         = "excess"           // more were kept than had been needed for a while
	ServerClose    = "server_close"     // the peer closed, or said that it would
	GoAway         = "goaway"           // the peer sent GOAWAY
	CloseIdle      = "close_idle"       // CloseIdleConnections
	Shutdown       = "shutdown"         // the pool was shut down
	Canceled       = "canceled"         // its request was cancelled
	Timeout        = "timeout"          // its request, or a ping, timed out
	BodyNotDrained = "body_not_drained" // its response was not read to the end
	Leak           = "leak"             // its response was forgotten, and too long to be drained
	Error          = "error"            // it failed
	Stale          = "stale"            // it was found dead when it was to be lent
	Upgraded       = "upgraded"         // it speaks another protocol now
	Closed         = "closed"           // nobody said why
)

// Why a connection is dialled, for [Host.DialStart]. One that takes the place of
// another that has left is dialled for the reason why that one left: so
// "idle_timeout" among [Snapshot.DialedBy] are the dials that a longer time of
// rest would have spared, and "body_not_drained" those that cost the program
// its unread responses. What is left are those that nothing had gone before:
const (
	Cold    = "cold"     // there had been no connection to the host yet
	AllBusy = "all_busy" // all that there were had requests
	Warm    = "warm"     // it was asked for ahead of requests
	Spare   = "spare"    // the pool keeps some ahead of requests
	Asked   = "asked"    // a program without a pool asked for it, and did not say why
)

// maxReasons bounds the reasons that one host counts apart. The others are
// counted as overflowName.
const maxReasons = 50

// overflowName takes what exceeds a bound on the number of names.
const overflowName = "_other"

// endedByPeer says whether reason, given to a resting connection, shows that
// its server closes idle connections.
func endedByPeer(reason string) bool {
	return reason == ServerClose || reason == Stale
}

// endsExchange says whether reason, given to a busy connection, would have
// ended the connection of any pool. Our own limits would not.
func endsExchange(reason string) bool {
	switch reason {
	case ServerClose, GoAway, Canceled, Timeout, BodyNotDrained, Error, Upgraded:
		return true
	}
	return false
}
