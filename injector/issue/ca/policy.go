package ca

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// A Policy says how long certificates are valid, and how long a change of roots
// takes. Zero means the default.
type Policy struct {
	// SVID is how long an SVID is valid; 0: an hour, after which a stolen key
	// is worth nothing. Clients come for the next one after half of it.
	SVID time.Duration
	// Intermediate is how long an intermediate is valid; 0: a week. It is
	// replaced after half of that.
	Intermediate time.Duration
	// Root is how long a root is valid; 0: two years. The next one is announced
	// after half of that, which leaves a year to notice that it was not.
	Root time.Duration
	// Announce is how long a root is distributed before it signs; 0: a day.
	Announce time.Duration
	// Retire is how long a root that signs no more is still distributed; 0: a
	// day.
	Retire time.Duration
}

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day

	// shortest is the shortest life of an SVID: certificates count in whole
	// seconds, and half of it is when the next one is due.
	shortest = 2 * time.Second
	// longest is the longest one. There is no revocation list: an SVID can't
	// be taken back before it expires.
	longest = day
	// backdate is how far validity begins in the past, for machines whose
	// clocks are behind ours. NTP keeps clocks within a second; a machine that
	// has just resumed is off by more until it has asked.
	backdate = 2 * time.Minute
)

// WithDefaults returns the policy with every zero replaced.
func (p Policy) WithDefaults() Policy {
	return Policy{
		SVID:         cmp.Or(p.SVID, time.Hour),
		Intermediate: cmp.Or(p.Intermediate, week),
		Root:         cmp.Or(p.Root, 2*year),
		Announce:     cmp.Or(p.Announce, day),
		Retire:       cmp.Or(p.Retire, day),
	}
}

// Check tells whether rotations under this policy can work.
func (p Policy) Check() error {
	p = p.WithDefaults()
	var errs []error
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf("CA policy: "+format, args...))
		}
	}
	bad(p.SVID < shortest || p.SVID > longest, "SVIDs of %v: want %v to %v", p.SVID, shortest, longest)
	bad(p.Announce < 2*p.SVID, "a new root is announced for %v only: want twice the life of an SVID (%v), so that every workload has come for a new one", p.Announce, 2*p.SVID)
	bad(p.Retire < 2*p.SVID, "an old root is kept for %v only: want twice the life of an SVID (%v), so that none is left that it vouches for", p.Retire, 2*p.SVID)
	bad(p.Intermediate < 4*p.SVID, "intermediates of %v: want four times the life of an SVID (%v), since the older half must still cover a whole one", p.Intermediate, 4*p.SVID)
	bad(p.Root < 2*p.Intermediate, "roots of %v: want twice the life of an intermediate (%v)", p.Root, 2*p.Intermediate)
	bad(p.Root < 4*(p.Announce+p.Retire), "roots of %v: want four times what a rotation takes (%v)", p.Root, 4*(p.Announce+p.Retire))
	return errors.Join(errs...)
}
