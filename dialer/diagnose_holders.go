package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"slices"

	"github.com/lastack/lastack/internal/procfs"
)

// Each look at a descriptor takes a microsecond or two.
const (
	maxLooks        = 4096  // at one process
	maxLooksOverall = 10240 // at all of them
)

// readHolders finds out which processes hold the connections.
func (d *diagnosis) readHolders(ctx context.Context) {
	unclaimed := make(map[uint32]*held, len(d.sockets.held))
	for i := range d.sockets.held {
		unclaimed[d.sockets.held[i].inode] = &d.sockets.held[i]
	}
	if len(unclaimed) == 0 {
		return
	}
	found, err := procfs.Processes(ctx)
	if ctx.Err() != nil {
		return // which the caller looks at
	}
	if err != nil {
		d.gap("the processes", err)
		return
	}
	// Those that hold most are looked at first, so a bound hits those that
	// matter least. It ends when all is known, sooner than it could hit.
	left := maxLooksOverall
	sampled := false
	unseen := found.Left
	for i, p := range found.Processes {
		if len(unclaimed) == 0 {
			break
		}
		if left -= min(p.Descriptors, maxLooks); left < 0 {
			unseen += len(found.Processes) - i
			break
		}
		if ctx.Err() != nil {
			return
		}
		c := claim{most: make(map[netip.AddrPort]int)}
		share, err := p.Sockets(maxLooks, func(inode uint32) {
			if h := unclaimed[inode]; h != nil {
				c.add(h)
				delete(unclaimed, inode)
			}
		})
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has just ended
		case errors.Is(err, fs.ErrPermission):
			found.Denied++
		case err != nil:
			d.gap(fmt.Sprintf("the descriptors of process %d", p.PID), err)
		}
		if c.Connections > 0 {
			sampled = sampled || share > 1
			d.Holders = append(d.Holders, c.holder(p, share))
		}
	}
	if unseen > 0 {
		d.gap("some of the processes", fmt.Errorf("%d with few descriptors were left out: there are too many", unseen))
	}
	if found.Denied > 0 && len(unclaimed) > 0 {
		d.gap("some of the processes", fmt.Errorf("%d may be looked at by their own user or by root only; connections that none of the others hold are shown as their user's", found.Denied))
	}
	if !sampled {
		d.addUnclaimed(unclaimed)
	}
	d.sortHolders()
}

// A claim is a Holder in the making.
type claim struct {
	Holder
	most map[netip.AddrPort]int
}

func (c *claim) add(h *held) {
	c.UID = h.uid
	c.Connections++
	if h.remote.IsValid() {
		c.Ports++
		c.most[h.remote]++
	}
	if !h.closeWait {
		return
	}
	c.CloseWaits++
	if h.endUnread {
		c.EndUnread++
	}
	if h.heard >= staleAfter {
		c.Stale++
	}
	c.OldestSeconds = max(c.OldestSeconds, seconds(h.heard))
}

// holder is what is reported of a process, each of whose sockets stands for as
// many as share says.
func (c *claim) holder(p procfs.Process, share int) Holder {
	h := c.Holder
	h.PID = p.PID
	h.Name, _ = p.Name() // a process that has just ended has none
	if limit, err := p.Limit(); err == nil && limit != math.MaxInt {
		h.Limit = limit
	}
	if p.Counted {
		h.Descriptors = p.Descriptors
	}
	if share > 1 {
		h.Sampled = true
		for _, n := range []*int{&h.Connections, &h.Ports, &h.CloseWaits, &h.EndUnread, &h.Stale} {
			*n *= share
		}
	}
	most := 0
	for to, n := range c.most {
		if n > most || n == most && to.Compare(h.MostTo) < 0 {
			h.MostTo, most = to, n
		}
	}
	return h
}

// addUnclaimed adds the connections of processes that could not be looked at,
// for each user. After a sample they would be those that it has not met.
func (d *diagnosis) addUnclaimed(unclaimed map[uint32]*held) {
	users := make(map[uint32]*claim)
	for _, h := range unclaimed {
		c := users[h.uid]
		if c == nil {
			c = &claim{most: make(map[netip.AddrPort]int)}
			users[h.uid] = c
		}
		c.add(h)
	}
	for _, c := range users {
		d.Holders = append(d.Holders, c.holder(procfs.Process{}, 1))
	}
}

func (d *diagnosis) sortHolders() {
	slices.SortFunc(d.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.CloseWaits, a.CloseWaits), cmp.Compare(b.Ports, a.Ports),
			cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.PID, b.PID), cmp.Compare(a.UID, b.UID))
	})
	d.MoreHolders = max(0, len(d.Holders)-maxHolders)
	d.Holders = d.Holders[:len(d.Holders)-d.MoreHolders]
}
