// Command pushbench measures what it costs to hand policies and destinations to
// thousands of sidecars. README.md beside this file says what is measured and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/outrider-mesh/outrider/test/pushbench/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal gets its default meaning back and ends the process at once.
	context.AfterFunc(ctx, stop)

	err := bench.Run(ctx, os.Args[1:], bench.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pushbench:", err)
		stop()
		os.Exit(1)
	}
}
