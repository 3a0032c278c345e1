//go:build race

package browsertest

// underRace: the race detector makes everything several times slower.
const underRace = true
