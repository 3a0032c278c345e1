//go:build !race

package linger_test

const underRace = false
