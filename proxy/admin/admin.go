// Package admin serves the ports that are not traffic: health for whoever runs
// the sidecar, metrics for whoever watches it, and an administration port for
// people on the same machine.
//
// The three are apart so that each can be closed to those who don't need it,
// and so that a flood on one leaves the others alone: each has its own bounds
// on connections, requests and time. The administration port binds to loopback
// addresses only and answers only requests that name one, so that neither the
// network nor a web page in somebody's browser can reach it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Options says what is served where.
type Options struct {
	// Health, Metrics and Admin are the "host:port" to bind to; port 0 means
	// any, empty means that the port is not served. The host of Admin must be
	// a loopback address or "localhost".
	Health, Metrics, Admin string
	// Readiness answers the health endpoints. Required.
	Readiness *Readiness
	// MetricsHandler answers /metrics. Required if Metrics is set.
	MetricsHandler http.Handler
	// Probes answers what is below /probe/ on the health port. Nil means that
	// there is nothing.
	Probes http.Handler
	// ConfigDump returns what /config_dump renders as JSON. It must hold no
	// secrets. Nil means that there is no such endpoint.
	ConfigDump func() any
	// Connections returns what /connections renders as JSON. Nil means that
	// there is no such endpoint.
	Connections func() any
	// Decision returns the access log's record of a decision, one JSON object, and
	// Decisions those of the newest refusals, newest first and at most so many.
	// Both must hold no secrets. Nil means that there are no such endpoints.
	Decision  func(id string) (record []byte, ok bool)
	Decisions func(most int) (records [][]byte)
	// Follow begins to follow the access log's records, for /decisions?follow; it
	// returns nil where too many do. They must hold no secrets. Nil means that
	// nobody can.
	Follow func() Follower
	// Drain begins to drain and returns at once; POST /drain calls it. Nil
	// means that there is no such endpoint.
	Drain func()
	// Quit begins a graceful stop and returns at once; POST /quitquitquit
	// calls it. Nil means that there is no such endpoint.
	Quit func()
	// Log receives what goes wrong on a connection; nil discards it.
	Log *slog.Logger
}

// A Server holds the listeners and what they serve.
type Server struct {
	health, metrics, admin *endpoint // nil when not served
}

// New binds the listeners, so that their addresses are known and a port that is
// taken is reported at once. Until Run is called nothing is answered. It either
// binds all of them or none.
func New(options Options) (*Server, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Readiness == nil {
		return nil, errors.New("admin: no readiness given")
	}
	if options.Metrics != "" && options.MetricsHandler == nil {
		return nil, errors.New("admin: a metrics port but no metrics handler given")
	}
	s := &Server{}
	if err := s.bind(options); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) bind(options Options) (err error) {
	if options.Health != "" {
		if s.health, err = bind(options.Health, healthBounds, healthHandler(options), options.Log); err != nil {
			return fmt.Errorf("health port: %w", err)
		}
	}
	if options.Metrics != "" {
		if s.metrics, err = bind(options.Metrics, metricsBounds, metricsHandler(options.MetricsHandler), options.Log); err != nil {
			return fmt.Errorf("metrics port: %w", err)
		}
	}
	if options.Admin != "" {
		address, err := loopback(options.Admin)
		if err != nil {
			return fmt.Errorf("admin port: %w", err)
		}
		closing := make(chan struct{})
		if s.admin, err = bind(address, adminBounds, adminHandler(options, closing), options.Log); err != nil {
			return fmt.Errorf("admin port: %w", err)
		}
		s.admin.server.RegisterOnShutdown(sync.OnceFunc(func() { close(closing) }))
	}
	return nil
}

// loopback checks an address and pins "localhost", which a resolver could send
// anywhere, to a number.
func loopback(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, err)
	}
	if host == "localhost" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Unmap().IsLoopback() {
		return "", fmt.Errorf("address %q is not a loopback address", address)
	}
	return address, nil
}

// HealthAddr is where the health port is bound, nil when it is not served.
func (s *Server) HealthAddr() net.Addr { return s.health.addr() }

// MetricsAddr is where the metrics port is bound, nil when it is not served.
func (s *Server) MetricsAddr() net.Addr { return s.metrics.addr() }

// AdminAddr is where the administration port is bound, nil when it is not served.
func (s *Server) AdminAddr() net.Addr { return s.admin.addr() }

// Run serves until ctx ends or a listener fails, lets open requests finish
// within a second, and closes everything. It runs once.
func (s *Server) Run(ctx context.Context) error {
	endpoints := s.endpoints()
	results := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() { results <- e.serve() }()
	}
	var errs []error
	running := len(endpoints)
	select {
	case <-ctx.Done():
	case err := <-results:
		errs = append(errs, err)
		running--
	}
	var stopping sync.WaitGroup
	for _, e := range endpoints {
		stopping.Go(func() { e.stop(context.WithoutCancel(ctx)) })
	}
	stopping.Wait()
	for range running {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// Close releases the listeners of a server that is not run. After Run it does
// nothing.
func (s *Server) Close() error {
	var errs []error
	for _, e := range s.endpoints() {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

func (s *Server) endpoints() []*endpoint {
	var bound []*endpoint
	for _, e := range []*endpoint{s.health, s.metrics, s.admin} {
		if e != nil {
			bound = append(bound, e)
		}
	}
	return bound
}

// stopTimeout is how long an open request may take to finish.
const stopTimeout = time.Second

// plainText writes lines as a plain text answer.
func plainText(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	for _, line := range lines {
		// The client went away; there is nobody to tell.
		_, _ = io.WriteString(w, line+"\n") //nolint:gosec // G705: it is plain text, and not to be sniffed
	}
}
