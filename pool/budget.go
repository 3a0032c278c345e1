package pool

import (
	"sync/atomic"
	"time"
)

// A budget bounds how many requests to one host are sent again, whatever the
// reason. Without it a server that resets or refuses everything would get each
// request maxAttempts times, just when it can bear that least.
//
// A retry costs a token. A host has maxRetries of them, enough to ride out the
// restart of a server that had as many requests in flight, and after that one
// more for every five requests that succeed: in the long run retries add no
// more than a fifth to the load, as Finagle, Linkerd and Envoy have it. One
// comes back each second besides, so that a program that seldom sends is not
// left without retries for days after a bad hour.
//
// The zero budget has all its tokens. It is one number: the time at which all
// retries so far will have been paid for, at a second each. A success brings
// it nearer.
type budget struct {
	due atomic.Int64 // in Unix nanoseconds; a time that has passed is no debt
}

const (
	maxRetries  = 1000
	retryCost   = time.Second
	successPays = retryCost / 5
)

// spend takes a token. It reports false if there is none.
func (b *budget) spend() bool {
	for {
		now, due := time.Now().UnixNano(), b.due.Load()
		limit := now + maxRetries*int64(retryCost)
		after := max(now, min(due, limit)) + int64(retryCost) // min: the clock may have been set back
		if after > limit {
			return false
		}
		if b.due.CompareAndSwap(due, after) {
			return true
		}
	}
}

// succeeded gives a part of a token back, if one was taken.
func (b *budget) succeeded() {
	for due := b.due.Load(); due != 0; due = b.due.Load() {
		after := due - int64(successPays)
		if after <= time.Now().UnixNano() {
			after = 0 // nothing is owed any more, and the next success need not ask for the time
		}
		if b.due.CompareAndSwap(due, after) {
			return
		}
	}
}

// debt returns how long it is until all tokens are back if nothing happens.
func (b *budget) debt() time.Duration {
	due := b.due.Load()
	if due == 0 {
		return 0
	}
	return max(0, time.Duration(due-time.Now().UnixNano()))
}
