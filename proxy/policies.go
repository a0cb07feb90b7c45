package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/feed"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// openPolicies prepares the source of documents. Where there is none, everything
// is denied, which is a policy too.
func (s *Sidecar) openPolicies(context.Context) error {
	p := s.opts.Config.Spec.Policies
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
func (s *Sidecar) apply(d *config.Documents) error {
	mesh := d.Mesh.WithDefaults()
	workload := s.workload(mesh)
	set, err := authz.Compile(d.Access, authz.Options{Workload: workload, Default: authz.Access(mesh.DefaultAccess)})
	if err != nil {
		return fmt.Errorf("access policies: %w", err)
	}
	inspector, err := inspect.New(d.Inspection, inspect.Options{Workload: workload, Log: s.opts.Log, Bounds: s.inspectionBounds})
	if err != nil {
		return fmt.Errorf("inspection policies: %w", err)
	}
	s.mesh.Store(&mesh)
	s.documents.Store(d)
	s.enforcer.Publish(set)
	s.inspector.Swap(inspector)
	s.metrics.PolicyLoaded(d.Generation, time.Now())
	s.tracker.Reauthorize() // connections are registered before they are judged
	s.readiness.Set(conditionPolicies, nil)
	s.policiesOnce.Do(func() { close(s.policiesLoaded) })
	return nil
}

// inspectionBounds are those of the configuration in force.
func (s *Sidecar) inspectionBounds() inspect.Bounds {
	l := effectiveLimits(s.config.Load().Spec.Limits)
	return inspect.Bounds{Wait: l.InspectionWait, Budget: l.InspectionTimeout}
}

// workload is whom policies select.
func (s *Sidecar) workload(mesh config.MeshSpec) authz.Workload {
	m := s.config.Load().Metadata
	w := authz.Workload{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, TrustDomain: mesh.TrustDomain}
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
	if s.directory != nil {
		st := s.directory.Status()
		policies["loadedAt"], policies["files"] = st.LoadedAt, st.Files
		if st.Err != nil {
			policies["problem"] = st.Err.Error()
		}
	}
	return map[string]any{
		"sidecar": s.config.Load(), "identity": id, "policies": policies,
		"limits": effectiveLimits(s.config.Load().Spec.Limits), "listeners": s.Addresses(),
	}
}
