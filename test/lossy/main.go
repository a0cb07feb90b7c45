// Command lossy measures the mesh hop on a path that loses packets: over TCP and over
// QUIC, by the same two sidecars, in turns. README.md beside this file says what is
// measured and how it is kept fair.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/outrider-mesh/outrider/test/lossy/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal gets its default meaning back and ends the process at once.
	context.AfterFunc(ctx, stop)

	err := bench.Run(ctx, os.Args[1:], bench.Streams{Out: os.Stdout, Err: os.Stderr})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lossy:", err)
		stop()
		os.Exit(1)
	}
}
