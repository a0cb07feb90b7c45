package self

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/outrider-mesh/outrider/internal/logging"
	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// The first arguments that make an executable a part of a mesh.
const (
	partCommand = "mesh-part"
	appPart     = "app"
	sidecarPart = "sidecar"
)

// IsPart tells whether the arguments start a part of a mesh. Whoever calls Start
// asks first, with its own arguments.
func IsPart(args []string) bool { return len(args) > 2 && args[0] == partCommand }

// Part runs a part until a signal ends it. What it says goes to stderr.
func Part(ctx context.Context, args []string, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case args[1] == appPart && len(args) == 4:
		return runApp(ctx, args[2], args[3])
	case args[1] == sidecarPart && len(args) == 3:
		return runSidecar(ctx, args[2], stderr)
	}
	return fmt.Errorf("%q is no part of a mesh", args[1:])
}

// runApp serves HTTP and an echo.
func runApp(ctx context.Context, http, echo string) error {
	var lc net.ListenConfig
	web, err := lc.Listen(ctx, "tcp", http)
	if err != nil {
		return err
	}
	defer web.Close()
	tcp, err := lc.Listen(ctx, "tcp", echo)
	if err != nil {
		return err
	}
	defer tcp.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = web.Close() // it ends the accept loops
		_ = tcp.Close()
	})
	defer stop()
	s, echoed := app.New(), make(chan error, 1)
	go func() { echoed <- s.Echo(tcp) }()
	if err := s.Serve(web); err != nil {
		return err
	}
	return <-echoed
}

// runSidecar is "outrider run" without what a machine that is measured has no use
// for.
func runSidecar(ctx context.Context, path string, stderr io.Writer) error {
	log, err := logging.New(stderr, "warn", "text")
	if err != nil {
		return err
	}
	c, _, err := config.LoadSidecar(path)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(c.Spec.Processors)
	s, err := proxy.New(ctx, proxy.Options{Config: c, ConfigPath: path, Stdout: stderr, Stderr: stderr, Log: log})
	if err != nil {
		return err
	}
	return s.Run(ctx, nil)
}
