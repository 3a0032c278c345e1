package pool

import (
	"math/rand/v2"
	"path"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
)

// traceEvery is how many responses there are to one whose origin is noted.
const traceEvery = 64

// traces reports whether the origin of the next response is to be noted, which
// costs some two microseconds. It is if the caller asks for bodies to be
// watched, or the host's have been seen to leak. Besides it is for a sample,
// and for the first response on a connection: where bodies leak each request
// needs a new connection, and a dial costs so much more.
func (b *bodies) traces(first bool) bool {
	return first || b.suspect.Load() || b.group.t.cfg.longBody > 0 || rand.N(traceEvery) == 0
}

// A trace is where a response was asked for. While its body is open it is in the profile.
type trace struct {
	n   int
	pcs [32]uintptr
}

// profile returns the profile of open bodies. Its name is the process's, so
// another copy of this package may have made it.
var profile = sync.OnceValue(func() *pprof.Profile {
	const name = "lastack.pool.bodies"
	if p := pprof.Lookup(name); p != nil {
		return p
	}
	return pprof.NewProfile(name)
})

// newTrace returns a trace of the calling goroutine.
func newTrace() *trace {
	t := new(trace)
	t.n = runtime.Callers(5, t.pcs[:])
	profile().Add(t, 4)
	return t
}

// end takes the trace out of the profile.
func (t *trace) end() {
	if t != nil {
		profile().Remove(t)
	}
}

// own is what the names of this package's functions begin with.
var own = reflect.TypeFor[Transport]().PkgPath() + "."

// site returns the file and line of the sender's frame. It is empty if nobody knows.
func (t *trace) site() string {
	if f := t.sender(); f.File != "" {
		return f.File + ":" + strconv.Itoa(f.Line)
	}
	return ""
}

// place returns the same for the accounts: the name of the file, the line and the
// function.
func (t *trace) place() string {
	if f := t.sender(); f.File != "" {
		return path.Base(f.File) + ":" + strconv.Itoa(f.Line) + " " + f.Function
	}
	return ""
}

// sender returns the frame that sent the request: the one that called
// http.Client, or RoundTrip if nobody called http.Client; or none.
func (t *trace) sender() runtime.Frame {
	if t == nil || t.n == 0 {
		return runtime.Frame{}
	}
	var direct runtime.Frame
	inClient := false
	for frames := runtime.CallersFrames(t.pcs[:t.n]); ; {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "net/http."):
			inClient = inClient || strings.HasPrefix(f.Function, "net/http.(*Client).")
		case strings.HasPrefix(f.Function, own) && !strings.HasSuffix(f.File, "_test.go"):
		case inClient:
			return f
		case direct.File == "":
			direct = f
		}
		if !more {
			return direct
		}
	}
}

// maxSites bounds the sites that a Logger is told of.
const maxSites = 1000

// sites are the places in the program that a Logger has been told of.
type sites struct {
	mu   sync.Mutex
	told map[spot]struct{}
}

// A spot is where something happens of which a Logger is told once.
type spot struct {
	kind EventKind
	site string
	key  Key // if site is empty
}

// first reports whether nothing of the event's kind was told of its site so
// far, or of its key where the site is not known. All events of other kinds are
// the first.
func (s *sites) first(e Event) bool {
	if e.Kind != Leaked && e.Kind != Held {
		return true
	}
	p := spot{kind: e.Kind, site: e.Site}
	if p.site == "" {
		p.key = e.Key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.told[p]; ok || len(s.told) >= maxSites {
		return false
	}
	if s.told == nil {
		s.told = make(map[spot]struct{})
	}
	s.told[p] = struct{}{}
	return true
}
