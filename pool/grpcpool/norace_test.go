//go:build !race

package grpcpool

const underRace = false
