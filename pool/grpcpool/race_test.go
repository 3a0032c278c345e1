//go:build race

package grpcpool

// underRace: the race detector makes everything several times slower.
const underRace = true
