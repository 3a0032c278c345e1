//go:build race

package linger_test

// underRace: the race detector makes everything several times slower.
const underRace = true
