package ca

import (
	"fmt"
	"slices"
	"time"
)

// Apply does a step of a [Plan] and returns what the state is then. The keys it
// makes are in that state and nowhere else.
func Apply(s State, step Step, in Input, now time.Time) (State, error) {
	s.Roots = slices.Clone(s.Roots)
	var err error
	switch step.Action {
	case Wait:
		return s, nil
	case Create:
		err = s.create(in, now)
	case Announce:
		err = s.announce(in, now)
	case Adopt:
		s.adopt(in.Brought, now)
	case Promote:
		s.promote(step.Root, now)
	case Renew:
		err = s.renew(step.Root, in.Policy, now)
	case Drop:
		s.Roots = slices.Delete(s.Roots, step.Root, step.Root+1)
	default:
		err = fmt.Errorf("the action %q is unknown", step.Action)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return State{}, fmt.Errorf("CA: %s (%s): %w", step.Action, step.Why, err)
	}
	return s, nil
}

// create replaces a root that expired; its SVIDs have expired with it.
func (s *State) create(in Input, now time.Time) error {
	root, err := newRoot(s.TrustDomain, in.Policy, now)
	if err != nil {
		return err
	}
	s.retire(now)
	root.Phase = Signing
	s.Roots = append(s.Roots, root)
	s.Handled = in.Request
	return nil
}

func (s *State) announce(in Input, now time.Time) error {
	root, err := newRoot(s.TrustDomain, in.Policy, now)
	if err != nil {
		return err
	}
	s.Roots = append(s.Roots, root)
	s.Handled = in.Request
	return nil
}

// adopt announces the roots that are new, and hands the intermediate to its
// root. Where no root can sign, the brought one begins at once.
func (s *State) adopt(b *Brought, now time.Time) {
	for _, cert := range b.Roots {
		if s.find(cert) < 0 {
			s.Roots = append(s.Roots, Root{Cert: cert, Phase: Announced, Since: now})
		}
	}
	i := s.find(b.root)
	s.Roots[i].Issuer = &b.Issuer
	if s.Roots[i].Phase == Retired {
		// Brought back. It is in every bundle still, but for how long it was
		// away is not known; it waits like a new one.
		s.Roots[i].Phase, s.Roots[i].Since = Announced, now
	}
	if r := s.Signing(); r == nil || !now.Before(r.lasts()) {
		s.promote(i, now)
	}
}

func (s *State) promote(i int, now time.Time) {
	s.retire(now)
	s.Roots[i].Phase, s.Roots[i].Since = Signing, now
}

// retire ends the signing of whichever root signs, and forgets the key with
// which it could.
func (s *State) retire(now time.Time) {
	if i := s.signing(); i >= 0 {
		s.Roots[i].Phase, s.Roots[i].Since = Retired, now
		s.Roots[i].Key, s.Roots[i].Issuer = nil, nil
	}
}

func (s *State) renew(i int, p Policy, now time.Time) error {
	issuer, err := newIssuer(s.TrustDomain, s.Roots[i], p, now)
	if err != nil {
		return err
	}
	s.Roots[i].Issuer = issuer
	return nil
}
