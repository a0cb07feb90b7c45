package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/feed"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// openPolicies prepares the source of documents. Where there is none, everything
// is denied, which is a policy too.
func (s *Sidecar) openPolicies(context.Context) error {
	p := s.opts.Config.Spec.Policies
	s.enforcer.Counter, s.enforcer.Limiter.Folded = s.metrics, s.metrics.RateLimitFolded
	if p != nil && p.Shadow != "" {
		s.shadow = feed.NewDirectory(feed.Options{
			Dir: p.Shadow, Interval: s.opts.PolicyInterval, Log: s.opts.Log.With("shadow", true), Apply: s.propose,
		})
	}
	if p != nil && p.ControlPlane != nil {
		return s.openControlPlane(*p.ControlPlane)
	}
	if p == nil || p.DenyAll || p.Directory == "" {
		if err := s.apply(&config.Documents{}); err != nil {
			return err
		}
		return nil
	}
	s.directory = feed.NewDirectory(feed.Options{
		Dir: p.Directory, Interval: s.opts.PolicyInterval, Log: s.opts.Log,
		Apply: s.apply, Refused: func(error) { s.metrics.PolicyFailed() },
	})
	return nil
}

// followPolicies waits for the identity, whose trust domain policies may leave
// out, loads the first set and follows the directory.
func (s *Sidecar) followPolicies(ctx context.Context) error {
	if !s.awaitIdentity(ctx) {
		return nil
	}
	if err := s.directory.Load(ctx); err != nil {
		s.opts.Log.Error("policies", "err", err)
		s.readiness.Set(conditionPolicies, err)
	}
	return s.directory.Run(ctx)
}

// followShadow follows the policies that are only tried, once there is something
// in force to try them beside. What is wrong with them is logged and no more.
func (s *Sidecar) followShadow(ctx context.Context) error {
	if !s.awaitIdentity(ctx) || !s.awaitPolicies(ctx) {
		return nil
	}
	return s.shadow.Run(ctx)
}

// awaitIdentity returns false when ctx ends first.
func (s *Sidecar) awaitIdentity(ctx context.Context) bool {
	for {
		snap := s.source.Current()
		if snap.Ready() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-snap.Superseded():
		}
	}
}

// apply puts a set of documents into force, all of it or nothing.
func (s *Sidecar) apply(d *config.Documents) error { return s.applyTo(d, nil) }

// applyTo is apply for this workload as the API server knows it; nil: as the
// configuration does.
func (s *Sidecar) applyTo(d *config.Documents, known *push.Workload) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	mesh := d.Mesh.WithDefaults()
	workload := s.workload(mesh, known)
	set, err := authz.Compile(d.Access, authz.Options{Workload: workload, Default: authz.Access(mesh.DefaultAccess)})
	if err != nil {
		return fmt.Errorf("access policies: %w", err)
	}
	if s.opts.Sparse != nil {
		s.opts.Sparse(len(d.Inspection) > 0) // before anything is built
	}
	inspector, err := inspect.New(d.Inspection, inspect.Options{Workload: workload, Log: s.opts.Log, Bounds: s.inspectionBounds})
	if err != nil {
		return fmt.Errorf("inspection policies: %w", err)
	}
	s.mesh.Store(&mesh)
	s.documents.Store(d)
	s.known.Store(known)
	s.enforcer.Publish(set)
	s.inspector.Swap(inspector)
	s.metrics.PolicyLoaded(d.Generation, time.Now())
	s.metrics.InspectionPolicies(inspector.Policies(), len(inspector.Unproved()))
	if p := s.proposal.Load(); p != nil { // the trust domain or the default may be others now
		if err := s.try(p); err != nil {
			s.opts.Log.Error("policies that are only tried", "err", err)
		}
	}
	s.tracker.Reauthorize() // connections are registered before they are judged
	s.readiness.Set(conditionPolicies, nil)
	s.policiesOnce.Do(func() { close(s.policiesLoaded) })
	return nil
}

// propose has a set of documents tried beside what is in force.
func (s *Sidecar) propose(d *config.Documents) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := s.try(d); err != nil {
		return err
	}
	s.proposal.Store(d)
	return nil
}

// try compiles what is to be tried. What it doesn't say of the mesh is as it is.
func (s *Sidecar) try(d *config.Documents) error {
	mesh := *s.mesh.Load()
	if d.Mesh != nil {
		mesh = d.Mesh.WithDefaults()
	}
	set, err := authz.Compile(d.Access, authz.Options{
		Workload: s.workload(mesh, s.known.Load()), Default: authz.Access(mesh.DefaultAccess), Trial: true,
	})
	if err != nil {
		return fmt.Errorf("access policies: %w", err)
	}
	s.enforcer.Propose(set)
	return nil
}

// inspectionBounds are those of the configuration in force.
func (s *Sidecar) inspectionBounds() inspect.Bounds {
	l := effectiveLimits(s.config.Load().Spec.Limits)
	return inspect.Bounds{Wait: l.InspectionWait, Budget: l.InspectionTimeout}
}

// workload is whom policies select. The labels of a pod can change while it lives.
func (s *Sidecar) workload(mesh config.MeshSpec, known *push.Workload) authz.Workload {
	m := s.config.Load().Metadata
	w := authz.Workload{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, TrustDomain: mesh.TrustDomain}
	if known != nil {
		w.Labels = known.Labels
	}
	if snap := s.source.Current(); w.TrustDomain == "" && snap.SVID != nil {
		w.TrustDomain = snap.SVID.ID.TrustDomain().Name()
	}
	return w
}

// strictAt tells whether a listener refuses plaintext at the moment, as it is
// configured now or, if it is gone, was.
func (s *Sidecar) strictAt(in config.Inbound) bool {
	mode := in.MTLS
	for _, now := range s.config.Load().Spec.Inbound {
		if now.Name == in.Name {
			mode = now.MTLS
		}
	}
	if mode == "" {
		if mesh := s.mesh.Load(); mesh != nil {
			mode = mesh.MTLS
		}
	}
	return mode != config.Permissive
}

// policyStatus is that of the source of documents; false: there is none.
func (s *Sidecar) policyStatus() (feed.Status, bool) {
	switch {
	case s.directory != nil:
		return s.directory.Status(), true
	case s.control != nil && s.control.on.Load() != nil:
		return s.control.on.Load().documents.Status(), true
	}
	return feed.Status{}, false
}

// dump is what /config_dump shows. The types it shows hold no secrets.
func (s *Sidecar) dump() any {
	type identityDump struct {
		SPIFFEID   string    `json:"spiffeID,omitempty"`
		NotAfter   time.Time `json:"notAfter,omitzero"`
		Generation uint64    `json:"generation"`
		Problem    string    `json:"problem,omitempty"`
	}
	snap := s.source.Current()
	id := identityDump{Generation: snap.Generation}
	if snap.SVID != nil {
		id.SPIFFEID, id.NotAfter = snap.SVID.ID.String(), snap.SVID.Certificates[0].NotAfter
	}
	if err := identityProblem(snap, time.Now()); err != nil {
		id.Problem = err.Error()
	}
	policies := map[string]any{"documents": s.documents.Load()}
	if st, ok := s.policyStatus(); ok {
		policies["loadedAt"], policies["files"] = st.LoadedAt, st.Files
		if !st.ConfirmedAt.IsZero() {
			policies["confirmedAt"] = st.ConfirmedAt
		}
		if st.Err != nil {
			policies["problem"] = st.Err.Error()
		}
	}
	if s.control != nil {
		policies["controlPlane"] = s.control.dump()
	}
	if w := s.known.Load(); w != nil {
		policies["labels"] = w.Labels
	}
	if s.shadow != nil {
		shadow := map[string]any{"documents": s.proposal.Load()}
		if err := s.shadow.Status().Err; err != nil {
			shadow["problem"] = err.Error()
		}
		policies["shadow"] = shadow
	}
	return map[string]any{
		"sidecar": s.config.Load(), "identity": id, "policies": policies,
		"limits": effectiveLimits(s.config.Load().Spec.Limits), "listeners": s.Addresses(),
	}
}
