//go:build race

package metrics

// underRace: the race detector makes everything several times slower.
const underRace = true
