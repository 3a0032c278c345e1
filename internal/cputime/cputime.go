// Package cputime says how much CPU time this process has taken.
package cputime
