//go:build race

package pool

// underRace: the race detector makes everything several times slower.
const underRace = true
