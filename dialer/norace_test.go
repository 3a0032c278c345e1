//go:build !race

package dialer

const underRace = false
