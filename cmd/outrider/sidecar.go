package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/footprint"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
	"github.com/outrider-mesh/outrider/internal/logging"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// runSidecar is "outrider run".
func runSidecar(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("run")
	path := fs.String("config", "/etc/outrider/sidecar.yaml", "the sidecar's `file`, which is watched for changes; or env:NAME, for one that is in an environment variable")
	level := fs.String("log-level", "info", "least severe event of the process log: debug, info, warn or error")
	format := fs.String("log-format", "text", "form of the process log: text or json")
	if _, err := program().Parse(fs, args, 0, env); err != nil {
		return err
	}
	log, err := logging.New(env.Stderr, *level, *format)
	if err != nil {
		return err
	}
	c, warnings, err := config.LoadSidecar(*path)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "problem", w.String())
	}
	if err := rightUser(c, os.Geteuid()); err != nil {
		return err
	}
	if env.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(c.Spec.Processors)
	}
	stop := lifecycle.Signals(ctx)
	defer stop.Release()
	s, err := proxy.New(stop.Graceful, proxy.Options{ //nolint:contextcheck // it descends from ctx, see lifecycle.Signals
		Config: c, ConfigPath: *path, EndpointSocket: env.Getenv("SPIFFE_ENDPOINT_SOCKET"), PodName: env.Getenv("POD_NAME"),
		Stdout: env.Stdout, Stderr: env.Stderr, Log: log, Sparse: collector(env),
	})
	if err != nil {
		return err
	}
	log.Info("starting", "version", buildinfo.Version(), "config", *path)
	go releaseOnceReady(stop.Graceful, s, log)                      //nolint:contextcheck // as above
	if err := s.Run(stop.Graceful, stop.Force.Done()); err != nil { //nolint:contextcheck // as above
		return fmt.Errorf("sidecar: %w", err)
	}
	log.Info("stopped")
	return nil
}

// collector paces the garbage collector, unless somebody else has.
func collector(env cli.Environment) func(sparse bool) {
	if env.Getenv("GOGC") != "" {
		return nil
	}
	return footprint.Collect
}

// releaseOnceReady gives back what only the start needed.
func releaseOnceReady(ctx context.Context, s *proxy.Sidecar, log *slog.Logger) {
	select {
	case <-s.Ready():
		if err := footprint.ReleaseCode(); err != nil {
			log.Info("more memory is in use than is needed", "err", err)
		}
	case <-ctx.Done():
	}
}

// rightUser refuses to run as a user whose calls are captured: they would come
// back, for ever.
func rightUser(c *config.Sidecar, uid int) error {
	if in, out := c.Spec.Captures(); !in && !out || int64(uid) == int64(c.Spec.Capture.UID) {
		return nil
	}
	return fmt.Errorf("spec.capture.uid is %d and this process runs as user %d: its own calls would be captured and come back to it; run it as user %d",
		c.Spec.Capture.UID, uid, c.Spec.Capture.UID)
}
