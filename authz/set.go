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
	// Trial makes policies in mode DryRun count like the others: for a set that is
	// to be tried and not to be enforced.
	Trial bool
}

// A Set is all the policies of one workload, compiled. It is immutable and safe
// for concurrent use; publish a new one when a policy changes. A nil Set denies
// everything.
type Set struct {
	allow, deny table
	// own are the Deny rules with a limit for each caller; they are asked before
	// limits that callers share, so that a call beyond its own takes nothing from
	// others. caps are the other ones, those for all calls last.
	own, caps table
	quotas    []Quota
	// restricted tells that an Allow policy selects the workload, be it one
	// without rules.
	restricted  bool
	access      Access
	trustDomain string
	names       []string
	dryRun      []Policy
	shadow      *Set
	l7          l7Ports
	probes      *sync.Pool
}

// Compile makes a Set of the enforced policies that select the workload. It
// fails, with one joined [Problem] each, when any policy has a problem that is
// not a warning, also one that selects other workloads. Policies are tried in
// the order of their names, so the order of the documents decides nothing. The
// policies must not be changed afterwards.
func Compile(policies []Policy, opts Options) (*Set, error) {
	all, reporters := build(policies)
	errs := fatal(reporters)
	if !slices.Contains([]Access{"", DenyAll, AllowAuthenticated, AllowAll}, opts.Default) {
		errs = append(errs, fmt.Errorf("default access %q is none of Deny, AllowAuthenticated and AllowAll", opts.Default))
	}
	if len(errs) > 0 {
		return nil, compileError(errs)
	}
	slices.SortStableFunc(all, func(a, b built) int { return cmp.Compare(a.policy.Metadata.id(), b.policy.Metadata.id()) })
	s, err := assemble(all, opts)
	if err != nil || len(s.dryRun) == 0 {
		return s, err
	}
	opts.Trial = true
	s.shadow, err = assemble(all, opts) // what could be wrong was found the first time
	return s, err
}

// assemble makes a Set of policies that are built and in order.
func assemble(all []built, opts Options) (*Set, error) {
	s := &Set{access: opts.Default, trustDomain: opts.Workload.TrustDomain, probes: newProbes()}
	var errs []error
	for i := range all {
		if opts.Workload.selectedBy(all[i].policy) {
			if err := s.add(&all[i], opts.Trial); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		return nil, compileError(errs)
	}
	s.finish()
	return s, nil
}

func compileError(errs []error) error {
	return fmt.Errorf("compile access policies: %w", errors.Join(errs...))
}

func (s *Set) add(b *built, trial bool) error {
	id := b.policy.Metadata.id()
	if b.ownDomain && s.trustDomain == "" {
		return fmt.Errorf("%s: speaks of namespaces or service accounts, and the workload's trust domain is not known", id)
	}
	if b.policy.Spec.Mode == DryRun && !trial {
		s.dryRun = append(s.dryRun, *b.policy)
		return nil
	}
	s.names = append(s.names, id)
	allow := b.policy.Spec.Action == Allow
	s.restricted = s.restricted || allow
	for _, r := range b.rules {
		s.l7.add(&r)
		switch {
		case allow:
			s.allow.add(r)
		case r.limited() && r.limit.key() == Caller:
			s.own.add(r)
		case r.limited():
			s.caps.add(r)
		default:
			s.deny.add(r)
		}
	}
	return nil
}

// finish prepares the tables once all rules are in them.
func (s *Set) finish() {
	slices.SortStableFunc(s.caps.rules, func(a, b rule) int { return cmp.Compare(a.limit.Key, b.limit.Key) }) // Route, Total
	for _, t := range []*table{&s.allow, &s.deny, &s.own, &s.caps} {
		t.index()
		for i := range t.rules {
			if r := &t.rules[i]; r.limited() {
				r.quota = len(s.quotas)
				s.quotas = append(s.quotas, r.limit.quota(r.name()))
			}
		}
	}
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
// the order of their names. No decision of this Set takes them into account;
// those of [Set.Shadow] do.
func (s *Set) DryRun() []Policy {
	if s == nil {
		return nil
	}
	return slices.Clone(s.dryRun)
}

// Shadow returns what would be in force if the policies in mode DryRun were; nil
// if there are none. Limits are not part of what it tells: nothing is counted
// against those of a Set that is only tried.
func (s *Set) Shadow() *Set {
	if s == nil {
		return nil
	}
	return s.shadow
}

// HasL7 tells whether an enforced policy asks for facts of HTTP on the port.
// Such a port must never be treated as opaque: bytes on it that are not HTTP
// have to be refused.
func (s *Set) HasL7(port uint16) bool { return s != nil && s.l7.has(port) }
