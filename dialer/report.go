package dialer

import (
	"net/netip"
	"time"
)

// A Report says what the kernel's local ports and TCP sockets are taken up by,
// in one network namespace at one moment, and what to do about it. It is the
// caller's, who may change it. Its JSON names are stable; new ones may be added.
type Report struct {
	Time   time.Time `json:"time"`
	Kernel string    `json:"kernel"` // its release

	Ports PortBudget `json:"ports"`

	// Sockets are the TCP sockets by state, in the words of
	// [metrics.Sockets], those of connections to us and of listeners too.
	Sockets map[string]int `json:"sockets"`

	// Destinations are those to which connections go from ports of the range,
	// the one with the fewest ports left first, and MoreDestinations how many
	// with more ports left there are.
	Destinations     []Destination `json:"destinations"`
	MoreDestinations int           `json:"more_destinations"`

	// Holders are the processes that hold TCP connections, first those that
	// leak, by how many are Stale, then by how many ports of the range they have,
	// and MoreHolders how many more there are.
	Holders     []Holder `json:"holders"`
	MoreHolders int      `json:"more_holders"`

	// Settings are the kernel's that matter here, and Counters what has
	// happened since the namespace was made.
	Settings []Setting `json:"settings"`
	Counters []Setting `json:"counters"`

	// Advice is what is the matter, the most useful to know first. It is empty
	// if nothing is.
	Advice []Advice `json:"advice"`

	// Unread is what could not be read, and so is missing above.
	Unread []Gap `json:"unread"`
}

// RunningOut reports whether something is about to run out, that is, whether
// any of the Advice is urgent:
//
//   - a destination has less than a tenth of its ports left, counting those in
//     TIME_WAIT that the kernel lends again, or will have none within a minute
//     if TIME_WAITs go on being made as they have been for half a minute;
//   - a source address has less than a tenth of its ports left, and each of the
//     others serves one connection only, as where they were bound before connect;
//   - nine tenths are taken of the descriptors of a process that holds
//     connections, of the machine's file handles, of the entries for connection
//     tracking, or of the TIME_WAITs that the kernel keeps.
func (r Report) RunningOut() bool {
	for _, a := range r.Advice {
		if a.Urgent {
			return true
		}
	}
	return false
}

// A PortBudget is the ports that the kernel may choose from for each pair of a
// source address and a destination (net.ipv4.ip_local_port_range, which is for
// IPv6 too). A program that keeps to a part of them has fewer, which the kernel
// does not tell.
type PortBudget struct {
	Lo uint16 `json:"lo"`
	Hi uint16 `json:"hi"`

	Reserved  int `json:"reserved"`  // of them, by net.ipv4.ip_local_reserved_ports
	Listening int `json:"listening"` // of them, by listeners, which no connection shares a port with
	Usable    int `json:"usable"`    // the rest; other sockets that were bound by number are not known
}

// A Destination is where connections go from one source address.
type Destination struct {
	Source  netip.Addr     `json:"source"`
	Address netip.AddrPort `json:"address"`

	// Used are the Usable ports that are taken, and States the same by the
	// state of their sockets. What is bound to others by number does not count.
	Used   int            `json:"used"`
	States map[string]int `json:"states"`

	// Free are the ports that are not taken. Reusable are those in TIME_WAIT
	// that the kernel lends to a new connection all the same
	// (net.ipv4.tcp_tw_reuse), unless the old one had no timestamps. Both
	// together are what is left.
	Free     int `json:"free"`
	Reusable int `json:"reusable"`

	// TimeWaits are the ports in TIME_WAIT. The next of them comes free in
	// NextFreeSeconds, half of them in HalfFreeSeconds, all in
	// AllFreeSeconds, unless they are lent before. The half is rounded up to
	// a second.
	TimeWaits       int     `json:"time_waits"`
	NextFreeSeconds float64 `json:"next_free_seconds"`
	HalfFreeSeconds float64 `json:"half_free_seconds"`
	AllFreeSeconds  float64 `json:"all_free_seconds"`

	// TimeWaitsPerSecond is how fast they are made: the average of the last
	// five or of the last thirty seconds, whichever is lower, so that a burst
	// does not count as a habit. More than Usable ports divided by 60 cannot
	// be sustained.
	TimeWaitsPerSecond float64 `json:"time_waits_per_second"`

	// OutInSeconds is when the last port is taken if that goes on, or -1 if
	// not within a minute.
	OutInSeconds float64 `json:"out_in_seconds"`
}

// Left is how many ports a new connection can have.
func (d Destination) Left() int { return d.Free + d.Reusable }

// A Holder is a process with TCP connections, or all those of one user that
// could not be looked at: PID is then 0. A connection that several processes
// hold counts for the one with the most descriptors.
type Holder struct {
	PID  int    `json:"pid"`
	UID  uint32 `json:"uid"`  // of who made the sockets
	Name string `json:"name"` // of the program; it may have chosen that itself

	Connections int `json:"connections"`
	Ports       int `json:"ports"` // of them, those from Usable ports of the range

	// MostTo is the destination of most of these.
	MostTo netip.AddrPort `json:"most_to,omitzero"`

	// CloseWaits are the connections that the peer has closed and the process
	// has not. Stale are those whose peer has been silent for five seconds or
	// more: a process that still means to close them would have. Of
	// CloseWaits, EndUnread are those where it has not read up to the peer's
	// end of file. OldestSeconds is the longest silence.
	CloseWaits    int     `json:"close_waits"`
	Stale         int     `json:"stale"`
	EndUnread     int     `json:"end_unread"`
	OldestSeconds float64 `json:"oldest_seconds"`

	// Descriptors is how many files the process has open, and Limit how many
	// it may have. 0: not known, as the first is before Linux 6.2.
	Descriptors int `json:"descriptors"`
	Limit       int `json:"limit"`

	// Sampled is set if the process has so many descriptors that only a part
	// was looked at. The counts of its connections are estimates then.
	Sampled bool `json:"sampled"`
}

// A Setting is a value of the kernel's with its meaning.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Meaning string `json:"meaning"`
}

// The codes of Advice.
const (
	AdvicePorts         = "ports"           // a destination is short of ports
	AdviceBoundPorts    = "bound_ports"     // a source is, whatever the destination
	AdviceSlowConnect   = "slow_connect"    // more than half of its ports are taken
	AdviceCloseWait     = "close_wait"      // a process does not close its connections
	AdviceDescriptors   = "descriptors"     // a process is short of descriptors
	AdviceFileHandles   = "file_handles"    // the machine is
	AdviceConntrack     = "conntrack"       // the table of connection tracking is full
	AdviceTimeWaitLimit = "time_wait_limit" // the kernel keeps no more TIME_WAITs
	AdviceRecycle       = "tcp_tw_recycle"  // it is on
	AdviceTimestamps    = "tcp_timestamps"  // they are off
)

// An Advice is one thing that is the matter.
type Advice struct {
	Code   string `json:"code"`
	Urgent bool   `json:"urgent"` // see Report.RunningOut
	Matter string `json:"matter"`

	Source      netip.Addr     `json:"source,omitzero"`      // if it is about one, or a destination
	Destination netip.AddrPort `json:"destination,omitzero"` // if it is about one
	PID         int            `json:"pid,omitempty"`        // if it is about a process

	// Remedies are what may be done about it: first what ends the cause, then
	// what gives it room.
	Remedies []Remedy `json:"remedies"`
}

// A Remedy is what to do, and what that brings.
type Remedy struct {
	Do   string `json:"do"`
	Gain string `json:"gain"`
}

// A Gap is something that could not be read.
type Gap struct {
	What string `json:"what"`
	Why  string `json:"why"`
}
