package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockdiag"
)

// The Report is for people, so its lists have an end.
const (
	maxDestinations = 50
	maxHolders      = 50
)

// Diagnose says how many local ports are left for each destination, who holds
// the others and for how long, what the kernel's settings mean for that, and
// what to do. It is about the network namespace of the calling thread, whichever
// process made the sockets. It changes nothing and needs no privilege; what it
// may not read is in [Report.Unread].
//
// It takes ten to forty milliseconds for twenty thousand sockets. They move
// meanwhile, so counts that are taken one after the other may differ by a few.
// It may be called concurrently.
//
// The error is [errors.ErrUnsupported] on systems other than Linux, ctx's cause
// if that ended, or the reason why the sockets could not be read; the Report
// then has the rest.
func Diagnose(ctx context.Context) (Report, error) {
	if runtime.GOOS != "linux" {
		return Report{}, fmt.Errorf("dialer: only Linux says who holds its ports: %w", errors.ErrUnsupported)
	}
	d := &diagnosis{
		Report: Report{
			Time:         time.Now().UTC().Truncate(time.Millisecond),
			Sockets:      map[string]int{},
			Destinations: []Destination{},
			Holders:      []Holder{},
			Settings:     []Setting{},
			Counters:     []Setting{},
			Advice:       []Advice{},
			Unread:       []Gap{},
		},
	}
	d.readSystem()
	err := d.readSockets(ctx)
	if err == nil {
		d.readHolders(ctx)
	}
	if ctx.Err() != nil {
		return Report{}, fmt.Errorf("dialer: %w", context.Cause(ctx))
	}
	d.describe()
	d.advise()
	if err != nil {
		d.gap("the TCP sockets", err)
		err = fmt.Errorf("dialer: cannot read the TCP sockets: %w", err)
	}
	return d.Report, err
}

// A diagnosis is a Report in the making.
type diagnosis struct {
	Report
	system  system
	sockets sockets
}

// gap notes what could not be read.
func (d *diagnosis) gap(what string, err error) {
	d.Unread = append(d.Unread, Gap{what, err.Error()})
}

// A system is the kernel's settings, by name; those that this kernel does not
// have are missing.
type system struct {
	version  procfs.Version
	values   map[string]int64
	counters procfs.Counters

	handles, maxHandles int64
}

// values that are read; meanings has their meanings.
var systemSettings = []string{
	twReuse, twReuseDelay, timestamps, finTimeout, maxBuckets, twRecycle,
	conntrackCount, conntrackMax, conntrackTimeWait, conntrackEstablished,
}

const (
	twReuse              = "net.ipv4.tcp_tw_reuse"
	twReuseDelay         = "net.ipv4.tcp_tw_reuse_delay"
	timestamps           = "net.ipv4.tcp_timestamps"
	finTimeout           = "net.ipv4.tcp_fin_timeout"
	maxBuckets           = "net.ipv4.tcp_max_tw_buckets"
	twRecycle            = "net.ipv4.tcp_tw_recycle"
	conntrackCount       = "net.netfilter.nf_conntrack_count"
	conntrackMax         = "net.netfilter.nf_conntrack_max"
	conntrackTimeWait    = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
	conntrackEstablished = "net.netfilter.nf_conntrack_tcp_timeout_established"
)

func (d *diagnosis) readSystem() {
	var err error
	if d.system.version, err = procfs.Kernel(); err != nil {
		d.gap("the kernel's release", err)
	} else {
		d.Kernel = d.system.version.String()
	}
	ports, err := procfs.LocalPorts()
	if err != nil {
		d.gap("the range of local ports", err)
	} else {
		d.Ports.Lo, d.Ports.Hi = ports.Lo, ports.Hi
	}
	reserved, err := procfs.ReservedPorts()
	if err != nil {
		d.gap("the reserved ports", err)
	} else if d.hasRange() {
		d.sockets.reserved = reserved
		d.Ports.Reserved = reserved.Within(ports)
	}
	d.system.values = make(map[string]int64)
	for _, name := range systemSettings {
		v, err := procfs.Setting(name)
		switch {
		case err == nil:
			d.system.values[name] = v
		case !errors.Is(err, fs.ErrNotExist): // else a kernel that has no such thing
			d.gap(name, err)
		}
	}
	if d.system.counters, err = procfs.ReadCounters(); err != nil {
		d.gap("the counters of the network", err)
	}
	if d.system.handles, d.system.maxHandles, err = procfs.FileHandles(); err != nil {
		d.gap("the number of open files", err)
	}
}

func (d *diagnosis) hasRange() bool { return d.Ports.Hi != 0 }

func (d *diagnosis) inRange(port uint16) bool {
	return d.hasRange() && d.Ports.Lo <= port && port <= d.Ports.Hi
}

// readSockets counts the sockets and finds the destinations.
func (d *diagnosis) readSockets(ctx context.Context) error {
	diag, err := sockdiag.Open()
	if err != nil {
		return err
	}
	defer diag.Close()
	s := &d.sockets
	s.listening = make(map[uint16]bool)
	s.routes = make(map[pair]*route)
	count := func(k sockdiag.Socket) { s.byState[k.State&stateMask]++ }
	while := func(f func(sockdiag.Socket)) func(sockdiag.Socket) bool {
		return func(k sockdiag.Socket) bool {
			f(k)
			return ctx.Err() == nil
		}
	}
	// The listeners come first: they tell which connections are to us.
	err = diag.Each(sockdiag.Listen.Mask(), while(func(k sockdiag.Socket) {
		count(k)
		s.listening[k.Local.Port()] = true
	}))
	if err != nil {
		return err
	}
	d.Ports.Usable = d.usable()
	each := func(f func(sockdiag.Socket)) error {
		return diag.Each(sockdiag.AllStates&^sockdiag.Listen.Mask(), while(f))
	}
	err = each(func(k sockdiag.Socket) {
		count(k)
		d.note(k)
	})
	if err == nil {
		err = d.readBound(each)
	}
	if err == nil && s.byState[sockdiag.CloseWait] > 0 {
		s.heard = make(map[uint32]time.Duration)
		err = diag.EachHeard(sockdiag.CloseWait.Mask(), while(func(k sockdiag.Socket) { s.heard[k.Inode] = k.Heard }))
	}
	if err != nil {
		return err
	}
	for state, n := range s.byState {
		if n > 0 {
			d.Sockets[sockdiag.State(state).String()] = n
		}
	}
	for _, r := range d.tightest(maxDestinations) {
		d.Destinations = append(d.Destinations, d.destination(r))
	}
	d.MoreDestinations = len(s.routes) - len(d.Destinations)
	return nil
}

// tightest returns the n routes with the fewest ports left, in order.
func (d *diagnosis) tightest(n int) []*route {
	compare := func(a, b *route) int {
		return cmp.Or(cmp.Compare(d.left(a), d.left(b)), cmp.Compare(b.used, a.used),
			a.to.Compare(b.to), a.from.Compare(b.from))
	}
	top := make([]*route, 0, n+1)
	for _, r := range d.sockets.routes {
		if len(top) == n && compare(r, top[n-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, r, compare)
		top = slices.Insert(top, at, r)
		top = top[:min(len(top), n)]
	}
	return top
}

// usable sets apart the ports that no connection gets, and returns how many are
// left.
func (d *diagnosis) usable() int {
	if !d.hasRange() {
		return 0
	}
	d.Ports.Listening = 0
	for port := range d.sockets.listening {
		if d.inRange(port) && !d.sockets.reserved.Contains(port) {
			d.Ports.Listening++
		}
	}
	return int(d.Ports.Hi) - int(d.Ports.Lo) + 1 - d.Ports.Reserved - d.Ports.Listening
}
