// Command peers measures the mesh hop: what Outrider costs next to nginx,
// HAProxy and Envoy when each of them is run as the two proxies of one mTLS
// hop. README.md beside this file says what is measured and how it is kept fair.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/outrider-mesh/outrider/test/peers/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal gets its default meaning back and ends the process at once.
	context.AfterFunc(ctx, stop)

	err := bench.Run(ctx, os.Args[1:], bench.Streams{Out: os.Stdout, Err: os.Stderr})
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "peers:", err)
		stop()
		os.Exit(1)
	}
}
