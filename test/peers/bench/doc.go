// Package bench runs the comparison: it starts every program as a mesh hop,
// loads them in turn, and hands the samples to package report.
//
// The load is made in this process, which does nothing else meanwhile. The app
// and the reference proxy are this same executable as processes of their own, so
// that their CPU time is not counted with anybody's.
package bench

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/test/peers/reference"
)

// Streams are where the benchmark writes to.
type Streams struct{ Out, Err io.Writer }

// The first arguments that make the executable the app: of requests, and of calls.
const (
	appCommand   = "app"
	callsCommand = "app-grpc"
)

// IsPart tells whether the arguments start a part of the benchmark rather than
// the benchmark itself. A test's TestMain asks, for a test's own executable
// takes these roles too.
func IsPart(args []string) bool {
	return len(args) > 0 && (args[0] == appCommand || args[0] == callsCommand || args[0] == reference.Subcommand)
}

// Run is the program: the benchmark, or the part of it that args name.
func Run(ctx context.Context, args []string, std Streams) error {
	switch {
	case !IsPart(args):
		return runBenchmark(ctx, args, std)
	case args[0] == appCommand && len(args) == 1:
		return runApp(ctx, std.Out, app.New().Serve)
	case args[0] == callsCommand && len(args) == 1:
		return runApp(ctx, std.Out, serveCalls)
	case args[0] == reference.Subcommand && len(args) == 2:
		return reference.Run(ctx, args[1])
	default:
		return fmt.Errorf("run %q: these are not the arguments it takes", args)
	}
}

// runApp serves on a free port, says which as its first line, and ends with ctx.
func runApp(ctx context.Context, out io.Writer, serve func(net.Listener) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the app: %w", err)
	}
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return fmt.Errorf("say where the app is: %w", err)
	}
	return serve(ln)
}
