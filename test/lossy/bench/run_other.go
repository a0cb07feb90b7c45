//go:build !linux

package bench

import (
	"context"
	"errors"
)

// Run says that it can't be done.
func Run(context.Context, []string, Streams) error {
	return errors.New("network namespaces are Linux's: NOTHING was measured")
}
