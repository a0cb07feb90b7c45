package authz

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Access is what is granted where no Allow policy selects the workload.
type Access string

// The default accesses.
const (
	// DenyAll refuses everyone. It is the meaning of an empty Access.
	DenyAll Access = "Deny"
	// AllowAuthenticated grants access to callers with a SPIFFE ID.
	AllowAuthenticated Access = "AllowAuthenticated"
	// AllowAll grants access to everyone.
	AllowAll Access = "AllowAll"
)

// Options are what [Compile] needs besides the policies.
type Options struct {
	// Workload is whom the set protects; policies that do not select it are
	// validated and left out.
	Workload Workload
	// Default is DenyAll when empty.
	Default Access
}

// A Set is all the policies of one workload, compiled. It is immutable and safe
// for concurrent use; publish a new one when a policy changes. A nil Set denies
// everything.
type Set struct {
	allow, deny table
	// restricted tells that an Allow policy selects the workload, be it one
	// without rules.
	restricted  bool
	access      Access
	trustDomain string
	names       []string
	dryRun      []Policy
	l7          l7Ports
	probes      *sync.Pool
}

// Compile makes a Set of the enforced policies that select the workload. It
// fails, with one joined [Problem] each, when any policy has a problem that is
// not a warning, also one that selects other workloads. Policies are tried in
// the order of their names, so the order of the documents decides nothing. The
// policies must not be changed afterwards.
func Compile(policies []Policy, opts Options) (*Set, error) {
	all, problems := build(policies)
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, p)
		}
	}
	if !slices.Contains([]Access{"", DenyAll, AllowAuthenticated, AllowAll}, opts.Default) {
		errs = append(errs, fmt.Errorf("default access %q is none of Deny, AllowAuthenticated and AllowAll", opts.Default))
	}
	if len(errs) > 0 {
		return nil, compileError(errs)
	}
	s := &Set{access: opts.Default, trustDomain: opts.Workload.TrustDomain, probes: newProbes()}
	slices.SortStableFunc(all, func(a, b built) int { return cmp.Compare(a.policy.Metadata.id(), b.policy.Metadata.id()) })
	for i := range all {
		if opts.Workload.selectedBy(all[i].policy) {
			if err := s.add(&all[i]); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		return nil, compileError(errs)
	}
	return s, nil
}

func compileError(errs []error) error {
	return fmt.Errorf("compile access policies: %w", errors.Join(errs...))
}

func (s *Set) add(b *built) error {
	id := b.policy.Metadata.id()
	if b.ownDomain && s.trustDomain == "" {
		return fmt.Errorf("%s: speaks of namespaces or service accounts, and the workload's trust domain is not known", id)
	}
	if b.policy.Spec.Mode == DryRun {
		s.dryRun = append(s.dryRun, *b.policy)
		return nil
	}
	s.names = append(s.names, id)
	t := &s.deny
	if b.policy.Spec.Action == Allow {
		t, s.restricted = &s.allow, true
	}
	for _, r := range b.rules {
		t.add(r)
		s.l7.add(&r)
	}
	return nil
}

// Policies returns the names of the enforced policies that select the workload,
// in the order in which they are tried.
func (s *Set) Policies() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.names)
}

// DryRun returns the policies that select the workload and are not enforced, in
// the order of their names. No decision takes them into account.
func (s *Set) DryRun() []Policy {
	if s == nil {
		return nil
	}
	return slices.Clone(s.dryRun)
}

// Authorize decides about an HTTP request, or about a connection that carries
// opaque bytes (r.HTTP false).
func (s *Set) Authorize(r *Request) Decision {
	if s == nil {
		return Decision{Rule: -1}
	}
	return s.decide(r, r.decided())
}

// AuthorizeConnection decides about a connection that carries HTTP before its
// first request is read; what r says of HTTP is ignored. It denies only when
// every request on the connection would be denied: when a Deny matches that
// asks for nothing of HTTP, or when no Allow matches as far as the connection is
// concerned. Otherwise the requests are decided one by one, with Authorize, and
// the basis is [PerRequest].
func (s *Set) AuthorizeConnection(r *Request) Decision {
	if s == nil {
		return Decision{Rule: -1}
	}
	d := s.decide(r, l7Later)
	if d.Allowed {
		return Decision{Allowed: true, Basis: PerRequest, Rule: -1}
	}
	return d
}

func (s *Set) decide(r *Request, known l7) Decision {
	f := s.facts(r, known)
	if m := s.deny.find(&f, true); m != nil {
		return Decision{Basis: ByDeny, Policy: m.policy, Rule: m.index}
	}
	if !s.restricted {
		return Decision{Allowed: s.byDefault(&f), Basis: ByDefault, Rule: -1}
	}
	if m := s.allow.find(&f, false); m != nil {
		return Decision{Allowed: true, Basis: ByAllow, Policy: m.policy, Rule: m.index}
	}
	return Decision{Basis: NoAllowMatched, Rule: -1}
}

func (s *Set) byDefault(f *facts) bool {
	return s.access == AllowAll || s.access == AllowAuthenticated && f.id != ""
}

// HasL7 tells whether an enforced policy asks for facts of HTTP on the port.
// Such a port must never be treated as opaque: bytes on it that are not HTTP
// have to be refused.
func (s *Set) HasL7(port uint16) bool { return s != nil && s.l7.has(port) }
