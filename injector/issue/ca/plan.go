package ca

import (
	"crypto/x509"
	"slices"
	"time"
)

// An Action is one step of a CA's life.
type Action string

// The actions.
const (
	// Wait does nothing until [Step.At].
	Wait Action = "Wait"
	// Create makes the first root, which signs at once: nobody trusts another.
	Create Action = "Create"
	// Announce makes the next root.
	Announce Action = "Announce"
	// Adopt takes over what the user brought.
	Adopt Action = "Adopt"
	// Promote has the announced root sign from now on.
	Promote Action = "Promote"
	// Renew makes a new intermediate below the root that signs.
	Renew Action = "Renew"
	// Drop forgets a root.
	Drop Action = "Drop"
)

// An Input is what a plan depends on besides the state and the time.
type Input struct {
	// Policy has its defaults filled in.
	Policy Policy
	// Brought is the CA of the user; nil: the CA is its own.
	Brought *Brought
	// Request asks for a new root when it is not [State.Handled]; any text.
	Request string
}

// A Step is what is to be done next.
type Step struct {
	Action Action
	// Root is the index of the root that is promoted, renewed or dropped.
	Root int
	// At is when it is due; zero with Wait: there is nothing to wait for.
	At time.Time
	// Why is for the log.
	Why string
}

// Plan says what is to be done with s at the time now. Of several things that
// are due it names one; ask again with the state that [Apply] made.
func Plan(s State, in Input, now time.Time) Step {
	next := Step{Action: Wait}
	for _, rule := range []func(State, Input, time.Time) Step{begin, adopt, withdraw, promote, renew, announce, drop} {
		step := rule(s, in, now)
		switch {
		case step.Action == "" || step.Action == Wait:
		case !step.At.After(now):
			return step
		case next.At.IsZero() || step.At.Before(next.At):
			next.At, next.Why = step.At, string(step.Action)+" is due then: "+step.Why
		}
	}
	return next
}

// begin is for a CA that can't sign: it is new, or was not looked after for so
// long that its root has expired.
func begin(s State, in Input, now time.Time) Step {
	if r := s.Signing(); r != nil && now.Before(r.lasts()) {
		return Step{}
	}
	if i := candidate(s, in, now); i >= 0 {
		return Step{Action: Promote, Root: i, At: now, Why: "no other root can sign"}
	}
	if in.Brought != nil {
		return Step{Action: Adopt, At: now, Why: "no root can sign yet"}
	}
	return Step{Action: Create, At: now, Why: "no root can sign yet"}
}

// adopt is due as soon as what was brought is not what the state has.
func adopt(s State, in Input, now time.Time) Step {
	if in.Brought == nil || in.Brought.within(s) {
		return Step{}
	}
	return Step{Action: Adopt, At: now, Why: "the CA that was brought has changed"}
}

// withdraw forgets an announced root that will never sign: the user took it back,
// or brought one where ours was announced, or it has expired. Nothing was signed
// below it.
func withdraw(s State, in Input, now time.Time) Step {
	i := slices.IndexFunc(s.Roots, func(r Root) bool {
		useless := in.Brought != nil || r.Key == nil || !now.Before(r.Cert.NotAfter)
		return r.Phase == Announced && useless && !in.Brought.lists(r.Cert)
	})
	if i < 0 {
		return Step{}
	}
	return Step{Action: Drop, Root: i, At: now, Why: "it was withdrawn before it signed"}
}

// promote is due when the announced root is known to every workload, and earlier
// if the root that signs would not last until then.
func promote(s State, in Input, now time.Time) Step {
	i, r := candidate(s, in, now), s.Signing()
	if i < 0 || r == nil {
		return Step{}
	}
	at, why := s.Roots[i].Since.Add(in.Policy.Announce), "it is known to every workload"
	if last := r.lasts().Add(-2 * in.Policy.SVID); last.Before(at) {
		at, why = last, "the root before it expires"
	}
	return Step{Action: Promote, Root: i, At: at, Why: why}
}

// lasts is until when something can be signed below the root.
func (r *Root) lasts() time.Time {
	if i := r.Issuer.Cert().NotAfter; r.Key == nil && i.Before(r.Cert.NotAfter) {
		return i
	}
	return r.Cert.NotAfter
}

// candidate is the announced root that will sign next; -1 if there is none.
func candidate(s State, in Input, now time.Time) int {
	return slices.IndexFunc(s.Roots, func(r Root) bool {
		if r.Phase != Announced || r.Issuer == nil || !now.Before(r.Cert.NotAfter) {
			return false
		}
		if in.Brought == nil {
			return r.Key != nil
		}
		return r.Cert.Equal(in.Brought.root)
	})
}

// renew is due at half the life of the intermediate. One that was brought is
// renewed by whoever brought it.
func renew(s State, _ Input, _ time.Time) Step {
	i := s.signing()
	if i < 0 || s.Roots[i].Key == nil {
		return Step{}
	}
	return Step{Action: Renew, Root: i, At: HalfLife(s.Roots[i].Issuer.Cert()), Why: "half of the intermediate's life is over"}
}

// announce is due at half the life of the root, when it was asked for, and when
// the user has taken back the CA that they brought.
func announce(s State, in Input, now time.Time) Step {
	r := s.Signing()
	if r == nil || in.Brought != nil || candidate(s, in, now) >= 0 {
		return Step{}
	}
	switch {
	case r.Key == nil:
		return Step{Action: Announce, At: now, Why: "the CA that was brought is there no more"}
	case in.Request != "" && in.Request != s.Handled:
		return Step{Action: Announce, At: now, Why: "a new root was asked for"}
	}
	return Step{Action: Announce, At: HalfLife(r.Cert), Why: "half of the root's life is over"}
}

// drop is due when no SVID is left that a retired root vouches for.
func drop(s State, in Input, _ time.Time) Step {
	var first Step
	for i, r := range s.Roots {
		if r.Phase != Retired || in.Brought.lists(r.Cert) {
			continue
		}
		if at := r.Since.Add(in.Policy.Retire); first.Action == "" || at.Before(first.At) {
			first = Step{Action: Drop, Root: i, At: at, Why: "nothing that it vouches for is valid any more"}
		}
	}
	return first
}

// HalfLife is when half of a certificate's life is over, not counting the part that
// was backdated.
func HalfLife(c *x509.Certificate) time.Time {
	begin := c.NotBefore.Add(backdate)
	return begin.Add(c.NotAfter.Sub(begin) / 2)
}
