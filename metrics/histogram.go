package metrics

// A Histogram says how many of the values that were recorded lie in each
// range. It is the caller's, who may change it.
type Histogram struct {
	// Bounds are the upper ends of the ranges, ascending; a value that equals
	// a bound lies below it. Times are in seconds. One more range, without an
	// end, follows the last.
	Bounds []float64 `json:"bounds,omitempty"`

	// Counts has the number of values in each range: one more than Bounds.
	// Nil: nothing was recorded.
	Counts []uint64 `json:"counts,omitempty"`

	// Count and Sum are of all values.
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
}
