package authz

import "slices"

// Quotas returns the limits of the enforced policies that select the workload.
// A [Meter] knows them by their index.
func (s *Set) Quotas() []Quota {
	if s == nil {
		return nil
	}
	return slices.Clone(s.quotas)
}

// Authorize decides about an HTTP request, or about a connection that carries
// opaque bytes (r.HTTP false). It takes it that no limit is used up.
func (s *Set) Authorize(r *Request) Decision { return s.Admit(r, nil) }

// Admit is [Set.Authorize] for a call that is made: it counts against the limits
// of rules, and is denied by them. A nil Meter counts nothing.
func (s *Set) Admit(r *Request, m Meter) Decision {
	if s == nil {
		return Decision{Rule: -1}
	}
	return s.decide(r, r.decided(), m)
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
	d := s.decide(r, l7Later, nil)
	if d.Allowed {
		return Decision{Allowed: true, Basis: PerRequest, Rule: -1}
	}
	return d
}

func (s *Set) decide(r *Request, known l7, meter Meter) Decision {
	f := s.facts(r, known)
	if m, _ := s.deny.find(&f, wish{deny: true, after: none}); m != nil {
		return Decision{Basis: ByDeny, Policy: m.policy, Rule: m.index}
	}
	if meter == nil {
		return s.grant(&f, nil)
	}
	return s.count(&f, meter)
}

// count takes from the limits of a call that no Deny forbids.
func (s *Set) count(f *facts, meter Meter) Decision {
	if s.own.limited > 0 && s.grant(f, nil).Allowed {
		if refusal := s.own.capped(f, meter); refusal.Basis != 0 {
			return refusal
		}
	}
	d := s.grant(f, meter)
	if d.Allowed {
		if refusal := s.caps.capped(f, meter); refusal.Basis != 0 {
			return refusal
		}
	}
	return d
}

// grant looks for what allows the call.
func (s *Set) grant(f *facts, meter Meter) Decision {
	if !s.restricted {
		return Decision{Allowed: s.byDefault(f), Basis: ByDefault, Rule: -1}
	}
	m, _ := s.allow.find(f, wish{after: none})
	if m == nil && s.allow.limited > 0 {
		return s.grantLimited(f, meter)
	}
	if m == nil {
		return Decision{Basis: NoAllowMatched, Rule: -1}
	}
	return Decision{Allowed: true, Basis: ByAllow, Policy: m.policy, Rule: m.index}
}

// grantLimited looks for a rule whose limit has room: one rule more never denies
// what others allow.
func (s *Set) grantLimited(f *facts, meter Meter) Decision {
	d := Decision{Basis: NoAllowMatched, Rule: -1}
	for m, at := s.allow.find(f, wish{limited: true, after: none}); m != nil; m, at = s.allow.find(f, wish{limited: true, after: at}) {
		if meter == nil {
			return Decision{Allowed: true, Basis: ByAllow, Policy: m.policy, Rule: m.index}
		}
		wait, ok := meter.Take(m.quota, m.share(f))
		if ok {
			return Decision{Allowed: true, Basis: ByAllow, Policy: m.policy, Rule: m.index}
		}
		if d.Basis != ByLimit || wait < d.RetryAfter {
			d = Decision{Basis: ByLimit, Policy: m.policy, Rule: m.index, RetryAfter: wait}
		}
	}
	return d
}

// capped counts the call against the limits of a table of Deny rules, until one is
// used up.
func (t *table) capped(f *facts, meter Meter) Decision {
	if t.limited == 0 {
		return Decision{}
	}
	w := wish{deny: true, limited: true, after: none}
	for m, at := t.find(f, w); m != nil; m, at = t.find(f, w) {
		if wait, ok := meter.Take(m.quota, m.share(f)); !ok {
			return Decision{Basis: ByLimit, Policy: m.policy, Rule: m.index, RetryAfter: wait}
		}
		w.after = at
	}
	return Decision{}
}

func (s *Set) byDefault(f *facts) bool {
	return s.access == AllowAll || s.access == AllowAuthenticated && f.id != ""
}
