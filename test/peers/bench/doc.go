// Package bench runs the comparison: it starts every program as a mesh hop,
// loads them in turn, and hands the samples to package report.
//
// The same executable is also the load generator, the app and the reference
// proxy, each as a process of its own, so that their CPU time is not counted
// with anybody's.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/test/peers/loadgen"
	"github.com/outrider-mesh/outrider/test/peers/reference"
)

// Streams are the three standard streams.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// The first arguments that make the executable a part of the benchmark.
const (
	appCommand      = "app"
	generateCommand = "generate"
)

// IsPart tells whether the arguments start a part of the benchmark rather than
// the benchmark itself. A test's TestMain asks, for a test's own executable
// takes these roles too.
func IsPart(args []string) bool {
	return len(args) > 0 && (args[0] == appCommand || args[0] == generateCommand || args[0] == reference.Subcommand)
}

// Run is the program: the benchmark, or the part of it that args name.
func Run(ctx context.Context, args []string, std Streams) error {
	if !IsPart(args) {
		return compare(ctx, args, std)
	}
	switch {
	case args[0] == appCommand && len(args) == 2:
		return runApp(ctx, args[1], std)
	case args[0] == generateCommand && len(args) == 2:
		return runGenerator(ctx, args[1], std)
	case args[0] == reference.Subcommand && len(args) == 2:
		return reference.Run(ctx, args[1])
	default:
		return fmt.Errorf("run %q: want exactly one argument", args[0])
	}
}

// runApp serves the sizes in arg, a JSON list, on a free port, says which as
// its first line, and ends with ctx.
func runApp(ctx context.Context, arg string, std Streams) error {
	_ = arg
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the app: %w", err)
	}
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	if _, err := fmt.Fprintln(std.Out, ln.Addr()); err != nil {
		return fmt.Errorf("say where the app is: %w", err)
	}
	return app.New().Serve(ln)
}

// runGenerator does the job in arg and writes its result.
func runGenerator(ctx context.Context, arg string, std Streams) error {
	var job loadgen.Job
	if err := json.Unmarshal([]byte(arg), &job); err != nil {
		return fmt.Errorf("read the generator's job: %w", err)
	}
	result, err := loadgen.Run(ctx, job)
	if err != nil {
		return err
	}
	return json.NewEncoder(std.Out).Encode(result)
}
