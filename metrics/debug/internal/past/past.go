// Package past lets the page's own tests show a page that has been watching for
// a while.
package past

import (
	"time"

	"github.com/lastack/lastack/metrics"
)

// A Moment is accounts as they were.
type Moment struct {
	At       time.Time
	Snapshot metrics.Snapshot
}

// A Keeper is accounts that know their past, the oldest Moment first.
type Keeper interface{ Past() []Moment }
