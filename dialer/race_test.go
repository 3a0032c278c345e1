//go:build race

package dialer

// underRace: the race detector makes everything several times slower.
const underRace = true
