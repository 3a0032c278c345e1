//go:build !linux

package procfs

import (
	"context"
	"errors"
)

// Processes returns an error that is [errors.ErrUnsupported].
func Processes(context.Context) (Found, error) { return Found{}, errors.ErrUnsupported }

// Sockets returns an error that is [errors.ErrUnsupported].
func (Process) Sockets(limit int, fn func(inode uint32)) (share int, err error) {
	return 0, errors.ErrUnsupported
}
