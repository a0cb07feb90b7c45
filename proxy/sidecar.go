package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/admin"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/feed"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/inspect"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/probe"
	"github.com/outrider-mesh/outrider/proxy/quic"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// The conditions of readiness, in the order in which they come true.
const (
	conditionIdentity  = "identity"
	conditionPolicies  = "policies"
	conditionListeners = "listeners"
	conditionCapture   = "capture" // where traffic is captured
)

// A Sidecar is one running data plane.
type Sidecar struct {
	opts   Options
	config atomic.Pointer[config.Sidecar]

	source      identity.Source
	closeSource func() error                // nil where there is nothing to close
	runSource   func(context.Context) error // nil where the source runs by itself
	directory   *feed.Directory             // nil where documents come from elsewhere, or nowhere
	control     *controlPlane               // nil where there is none
	mesh        atomic.Pointer[config.MeshSpec]
	documents   atomic.Pointer[config.Documents]
	known       atomic.Pointer[push.Workload] // this workload, if the control plane says
	shadow      *feed.Directory               // nil where nothing is tried
	proposal    atomic.Pointer[config.Documents]
	applying    sync.Mutex // held while either of the two sets changes

	enforcer     enforce.Enforcer
	inspector    inspect.Holder
	tracker      drain.Tracker
	gate         *accept.Gate
	http1Buffers http1.Buffers
	http2Buffers http2.Buffers
	quicClient   *quic.Client
	metrics      *telemetry.Metrics
	ids          *accesslog.IDs
	recent       *accesslog.Recent
	feed         *accesslog.Feed
	log          *accesslog.Writer // writes nothing where no log is kept
	logFile      io.Closer         // nil unless the log is a file of ours
	readiness    *admin.Readiness
	admin        *admin.Server
	traffic      *traffic
	sentry       *capture.Sentry // nil where nothing is captured

	quit  context.CancelFunc // set by Run before anything can call it
	ready chan struct{}      // closed when first ready

	policiesOnce   sync.Once
	policiesLoaded chan struct{} // closed when the first set is in force
}

// New builds a sidecar and binds its own ports, but no traffic port yet. If it
// fails, nothing is left behind.
func New(ctx context.Context, opts Options) (*Sidecar, error) {
	if opts.SweepInterval == 0 {
		opts.SweepInterval = time.Second
	}
	s := &Sidecar{
		opts: opts, metrics: telemetry.New(), ids: accesslog.NewIDs(), ready: make(chan struct{}),
		policiesLoaded: make(chan struct{}),
		gate:           accept.NewGate(effectiveLimits(opts.Config.Spec.Limits).Connections),
	}
	s.config.Store(opts.Config)
	s.readiness = admin.NewReadiness(s.metrics.Ready, conditionIdentity, conditionPolicies, conditionListeners)
	s.quicClient = quic.NewClient(effectiveLimits(opts.Config.Spec.Limits), opts.Log)
	s.traffic = newTraffic(s)
	for _, build := range []func(context.Context) error{s.openCapture, s.openLog, s.openAdmin, s.openSource, s.openPolicies} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, s.close(ctx))
		}
	}
	return s, nil
}

// Ready is closed when the sidecar serves traffic for the first time.
func (s *Sidecar) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, then drains for as long as the configuration says
// or until force is closed, and returns.
func (s *Sidecar) Run(ctx context.Context, force <-chan struct{}) error {
	ctx, s.quit = context.WithCancel(ctx)
	defer s.quit()
	g := new(lifecycle.Group)
	g.Add("admin", s.admin.Run)
	if s.runSource != nil {
		g.Add("identity source", s.runSource)
	}
	g.Add("identity", s.followIdentity)
	if s.directory != nil {
		g.Add("policies", s.followPolicies)
	}
	if s.control != nil {
		g.Add("control plane", s.followControlPlane)
	}
	if s.shadow != nil {
		g.Add("shadow", s.followShadow)
	}
	if path := s.opts.ConfigPath; path != "" && !config.InEnvironment(path) {
		g.Add("configuration", s.followConfig)
	}
	g.Add("sweep", s.sweep)
	g.Add("traffic", func(ctx context.Context) error { return s.traffic.run(ctx, force) })
	if s.sentry != nil {
		g.Add("capture", s.watchCapture) // ends before the listeners do
	}
	err := g.Run(ctx)
	return errors.Join(err, s.close(context.WithoutCancel(ctx)))
}

// closeTimeout bounds the flushing of the access log at the end.
const closeTimeout = 5 * time.Second

// close releases what New opened.
func (s *Sidecar) close(ctx context.Context) error {
	var errs []error
	if s.closeSource != nil {
		errs = append(errs, s.closeSource())
	}
	s.inspector.Close()
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.log != nil {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		errs = append(errs, s.log.Close(ctx))
	}
	if s.logFile != nil {
		errs = append(errs, s.logFile.Close())
	}
	return errors.Join(errs...)
}

func (s *Sidecar) openLog(context.Context) error {
	l := s.opts.Config.Spec.AccessLog
	var out io.Writer
	switch {
	case l.Off():
	case l.Output == "" || l.Output == "stdout":
		out = s.opts.Stdout
	case l.Output == "stderr":
		out = s.opts.Stderr
	default:
		f, err := os.OpenFile(l.Output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("spec.accessLog.output: %w", err)
		}
		out, s.logFile = f, f
	}
	bounds := limits.Default()
	s.recent = accesslog.NewRecent(bounds.RecentRefusals, bounds.RecentRefusalBytes)
	s.feed = accesslog.NewFeed(bounds.Followers, bounds.FollowerBytes)
	s.log = accesslog.New(accesslog.Options{
		Output: out, Recent: s.recent, Feed: s.feed, RefusalsOnly: l.Allowed == config.LogNone, IDs: s.ids, Dropped: s.metrics.AccessLogDropped,
	})
	return nil
}

func (s *Sidecar) openAdmin(context.Context) error {
	spec := &s.opts.Config.Spec
	server, err := admin.New(admin.Options{
		Health: bindAddress(spec.Health), Metrics: bindAddress(spec.Metrics), Admin: bindAddress(spec.Admin),
		Readiness: s.readiness, MetricsHandler: s.metrics.Handler(), Probes: probe.New(spec.Probes),
		ConfigDump: s.dump, Connections: s.connections, Decision: s.recent.Find, Decisions: s.recent.All, Follow: s.follow, Drain: s.stop, Quit: s.stop, Log: s.opts.Log,
	})
	if err != nil {
		return err
	}
	s.admin = server
	return nil
}

// follow is what package admin takes; nil where there are too many followers.
func (s *Sidecar) follow() admin.Follower {
	if f, ok := s.feed.Follow(); ok {
		return f
	}
	return nil
}

// bindAddress is what package admin takes: empty for an endpoint that is off.
func bindAddress(e config.Endpoint) string {
	if e.Off() {
		return ""
	}
	return e.Listen
}

// stop ends Run gracefully, as a signal would.
func (s *Sidecar) stop() { s.quit() }

// sweep ends what is past its time.
func (s *Sidecar) sweep(ctx context.Context) error {
	tick := time.NewTicker(s.opts.SweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.checkIdentity(now)
			if s.directory != nil {
				s.metrics.PolicyConfirmed(s.directory.Status().ConfirmedAt, false)
			}
			s.tracker.Expire(now, s.drainTimeout())
			s.expireHops(now, s.drainTimeout())
			s.tracker.Abandon()
			s.traffic.eachPool(func(p balance.Pool) { p.Sweep(now) })
			s.quicClient.Sweep(now)
		}
	}
}

func (s *Sidecar) drainTimeout() time.Duration {
	if t := s.config.Load().Spec.Drain.Timeout; t > 0 {
		return t
	}
	return defaultDrain
}

// defaultDrain is Kubernetes' default grace period.
const defaultDrain = 30 * time.Second
