package metrics

import (
	"fmt"
	"time"
)

// A Ghost is a pool that might have been: the [Meter] works out what it would
// have done with the same requests. Zero fields mean net/http's: they are read
// as those of [net/http.Transport].
type Ghost struct {
	// Name is the model's name in [Snapshot.WouldHave]. It must be given, and
	// differ from the other models' names.
	Name string

	MaxIdlePerHost int           // 0: 2; negative: none
	MaxIdle        int           // over all hosts; 0: unlimited
	IdleTimeout    time.Duration // 0: unlimited
}

// The settings of http.DefaultTransport.
const (
	idlePerHost = 2
	idleInAll   = 100
	idleFor     = 90 * time.Second
)

// netHTTP is the ghost that every Meter has.
var netHTTP = Ghost{Name: NetHTTPDefault, MaxIdlePerHost: idlePerHost, MaxIdle: idleInAll, IdleTimeout: idleFor}

// A GhostError says which of [Meter.Ghosts] cannot be used.
type GhostError struct {
	Index int    // in Meter.Ghosts
	Name  string // as given there
	Why   string
}

func (e *GhostError) Error() string {
	return fmt.Sprintf("metrics: invalid Meter.Ghosts[%d], named %q: %s", e.Index, e.Name, e.Why)
}

// Check returns a [*GhostError] for the first of the Ghosts that cannot be
// used, else nil. One that has no name, or a name that is taken, is left out of
// the accounts.
func (m *Meter) Check() error {
	_, err := models(m.Ghosts)
	if err != nil { // not a nil *GhostError
		return err
	}
	return nil
}

// models returns net_http_default and those of the configured that can be used,
// and says what is wrong with the first that cannot.
func models(configured []Ghost) ([]Ghost, *GhostError) {
	all := []Ghost{netHTTP}
	taken := map[string]string{
		"":             "it has no name",
		PerRequest:     "the name is that of a model which every Meter has",
		NetHTTPDefault: "the name is that of a model which every Meter has",
	}
	var first *GhostError
	for i, g := range configured {
		if why := taken[g.Name]; why != "" {
			if first == nil {
				first = &GhostError{Index: i, Name: g.Name, Why: why}
			}
			continue
		}
		taken[g.Name] = "the name is that of another one"
		all = append(all, g)
	}
	return all, first
}
