package metrics

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/linger"
)

// A scribe is an Observer that writes down what it is told. It reads the Meter
// each time, which would hang if it were called under a lock of it.
type scribe struct {
	meter *Meter
	heard []string
}

func (s *scribe) note(format string, args ...any) {
	s.meter.Snapshot()
	s.meter.Lives()
	s.heard = append(s.heard, fmt.Sprintf(format, args...))
}

func (s *scribe) Dialed(host string, d Dial) {
	s.note("%s dialed %s %v %v", host, d.Reason, d.Total, d.Err)
}
func (s *scribe) Waited(host string, d time.Duration, err error) {
	s.note("%s waited %v %v", host, d, err)
}
func (s *scribe) Used(host string, d time.Duration) { s.note("%s used %v", host, d) }
func (s *scribe) Ended(l Life) {
	s.note("%s ended %s after %v, %s, %d", l.Host, l.Ending, l.Gone.Sub(l.Born), l.Dialed, l.Requests)
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(scribe)
		m := &Meter{Observer: s}
		s.meter = m
		h := m.Host("h:1")
		h.Request()
		h.Wait()
		why := h.DialStart(AllBusy)
		time.Sleep(time.Millisecond)
		h.DialDone(Dial{Reason: why, Total: time.Millisecond})
		h.Waited(time.Millisecond, false, nil)
		c := h.Born(true)
		c.SetDialed(why)
		at := time.Now()
		h.Lease(at, false)
		c.Leased(at)
		if a := m.Snapshot(); a.Active != 1 || a.Waiting != 0 {
			t.Errorf("%d active, %d waiting", a.Active, a.Waiting)
		}
		time.Sleep(time.Second)
		h.Return(time.Now(), at)
		h.Done()
		c.Closing()
		c.Ended(linger.PeerFirst, false)
		h.Wait()
		h.Waited(time.Minute, true, errors.New("too late"))
		want := []string{
			"h:1 dialed cold 1ms <nil>", "h:1 waited 1ms <nil>", "h:1 used 1s",
			"h:1 ended peer_first after 1s, cold, 1", "h:1 waited 1m0s too late",
		}
		if !slices.Equal(s.heard, want) {
			t.Errorf("heard\n%q, want\n%q", s.heard, want)
		}
		if a := m.Snapshot(); a.Active != 0 || a.Timeouts != 1 || a.LifeTime.Sum != 1 || a.UseTime.Sum != 1 || a.PerConn.Sum != 1 {
			t.Errorf("%+v", a)
		}
	})
}
