package proxy

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/feed"
)

// followConfig reads the configuration again when its file changes. What is
// wrong with the new one is logged, and the old one stays.
//
// A change that comes before the sidecar is ready waits until it is: listeners
// are not opened before identity and policies are there.
func (s *Sidecar) followConfig(ctx context.Context) error {
	file := feed.NewFile(feed.FileOptions{
		Path: s.opts.ConfigPath, Interval: s.opts.PolicyInterval, Log: s.opts.Log, Changed: s.reload,
	})
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	// It may have changed after Options.Config was read and before it was
	// watched. What can't be read is reported when it changes.
	if c, _, err := config.LoadSidecar(s.opts.ConfigPath); err == nil && !reflect.DeepEqual(c, s.config.Load()) {
		s.reload() //nolint:contextcheck // connections outlive ctx: they are drained
	}
	return file.Run(ctx)
}

func (s *Sidecar) reload() {
	c, _, err := config.LoadSidecar(s.opts.ConfigPath)
	if err == nil {
		err = s.Reconfigure(c)
	}
	if err != nil {
		s.opts.Log.Error("configuration not taken over; the previous one stays in force", "err", err)
		return
	}
	s.opts.Log.Info("configuration taken over", "file", s.opts.ConfigPath)
}

// Reconfigure puts another configuration into force without dropping a
// connection. What only a restart can change is an error that names the field;
// then nothing has changed. It must not be called before Ready.
func (s *Sidecar) Reconfigure(c *config.Sidecar) error {
	if err := fixedFields(s.config.Load(), c); err != nil {
		return err
	}
	if err := s.traffic.configure(c); err != nil {
		return err
	}
	s.config.Store(c)
	s.tracker.Reauthorize() // a listener may have become strict
	return nil
}

// fixedFields names what cannot change while the process lives: who it is, and
// what it opened before it knew.
func fixedFields(old, c *config.Sidecar) error {
	var errs []error
	for _, f := range []struct {
		name     string
		old, new any
	}{
		{"metadata", old.Metadata, c.Metadata},
		{"spec.identity", old.Spec.Identity, c.Spec.Identity},
		{"spec.policies", old.Spec.Policies, c.Spec.Policies},
		{"spec.admin", old.Spec.Admin, c.Spec.Admin},
		{"spec.metrics", old.Spec.Metrics, c.Spec.Metrics},
		{"spec.health", old.Spec.Health, c.Spec.Health},
		{"spec.probes", old.Spec.Probes, c.Spec.Probes},
		{"spec.accessLog", old.Spec.AccessLog, c.Spec.AccessLog},
		{"spec.processors", old.Spec.Processors, c.Spec.Processors},
		{"spec.quic", old.Spec.QUIC, c.Spec.QUIC},
		{"spec.capture", redirection(old), redirection(c)},
	} {
		if !reflect.DeepEqual(f.old, f.new) {
			errs = append(errs, fmt.Errorf("%s: a change needs a restart", f.name))
		}
	}
	return errors.Join(errs...)
}

// redirected is what the kernel has been told before the sidecar started. What
// becomes of unknown destinations is the sidecar's own affair.
type redirected struct {
	capture           config.Capture
	inbound, outbound bool
}

func redirection(c *config.Sidecar) (r redirected) {
	r.inbound, r.outbound = c.Spec.Captures()
	if c.Spec.Capture != nil {
		r.capture = *c.Spec.Capture
		r.capture.Unknown = ""
	}
	return r
}
