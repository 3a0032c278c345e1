package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/lastack/lastack/internal/procfs"
)

// Each look at a descriptor takes a microsecond or two.
const (
	maxLooks        = 2048 // at one process
	sampleLooks     = 1024 // at one that has more; right to about three in a hundred
	maxLooksOverall = 8192 // at all of them
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
	sampled := make(map[uint32]bool) // users
	unseen := found.Left
	for i, p := range found.Processes {
		if len(unclaimed) == 0 {
			break
		}
		looks := maxLooks
		if p.Descriptors > maxLooks {
			looks = sampleLooks
		}
		if left -= min(looks, p.Descriptors); left < 0 {
			unseen += len(found.Processes) - i
			break
		}
		if ctx.Err() != nil {
			return
		}
		c := claim{most: make(map[*route]int)}
		share, err := p.Sockets(looks, func(inode uint32) {
			if h := unclaimed[inode]; h != nil {
				c.add(h, d.sockets.heard[h.inode])
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
			if share > 1 {
				sampled[c.UID] = true
			}
			d.Holders = append(d.Holders, c.holder(p, share))
		}
	}
	// What a sample has not met is still its process's, most likely.
	maps.DeleteFunc(unclaimed, func(_ uint32, h *held) bool { return sampled[h.uid] })
	if unseen > 0 {
		d.gap("some of the processes", fmt.Errorf("%d with few descriptors were left out: there are too many", unseen))
	}
	if found.Denied > 0 && len(unclaimed) > 0 {
		d.gap("some of the processes", fmt.Errorf("%d may be looked at by their own user or by root only; connections that none of the others hold are shown as their user's", found.Denied))
	}
	d.addUnclaimed(unclaimed)
	d.sortHolders()
}

// A claim is a Holder in the making.
type claim struct {
	Holder
	most map[*route]int
}

// add takes a connection to the claim, whose peer was last heard of so long ago.
func (c *claim) add(h *held, heard time.Duration) {
	c.UID = h.uid
	c.Connections++
	if h.route != nil {
		c.Ports++
		c.most[h.route]++
	}
	if !h.closeWait {
		return
	}
	c.CloseWaits++
	if h.endUnread {
		c.EndUnread++
	}
	if heard >= staleAfter {
		c.Stale++
	}
	c.OldestSeconds = max(c.OldestSeconds, seconds(heard))
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
	for r, n := range c.most {
		if n > most || n == most && r.to.Compare(h.MostTo) < 0 {
			h.MostTo, most = r.to, n
		}
	}
	return h
}

// addUnclaimed adds the connections of processes that could not be looked at,
// for each user.
func (d *diagnosis) addUnclaimed(unclaimed map[uint32]*held) {
	users := make(map[uint32]*claim)
	for _, h := range unclaimed {
		c := users[h.uid]
		if c == nil {
			c = &claim{most: make(map[*route]int)}
			users[h.uid] = c
		}
		c.add(h, d.sockets.heard[h.inode])
	}
	for _, c := range users {
		d.Holders = append(d.Holders, c.holder(procfs.Process{}, 1))
	}
}

func (d *diagnosis) sortHolders() {
	slices.SortFunc(d.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Stale, a.Stale), cmp.Compare(b.Ports, a.Ports),
			cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.PID, b.PID), cmp.Compare(a.UID, b.UID))
	})
	d.MoreHolders = max(0, len(d.Holders)-maxHolders)
	d.Holders = d.Holders[:len(d.Holders)-d.MoreHolders]
}
