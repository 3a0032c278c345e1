//go:build !linux

package lab

import "errors"

var errNoNamespaces = errors.New("network namespaces are Linux's")

func runNamespaced([]string) (int, error) { return 0, errNoNamespaces }

func enterNamespace() error { return errNoNamespaces }
