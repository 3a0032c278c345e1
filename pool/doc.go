// Package pool is an [http.RoundTripper] that keeps connections, shares them,
// and ends them without TIME_WAIT.
package pool
