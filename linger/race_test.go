//go:build race

package linger

// slow is how much less a test of many connections makes under the race
// detector.
const slow = 5
