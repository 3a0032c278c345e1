//go:build !race

package linger

const slow = 1
