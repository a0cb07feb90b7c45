package authz

import (
	"strconv"
	"time"
)

// A Limit bounds how often a rule applies. In an Allow it is how many calls the
// rule allows; a call beyond it may still be allowed by another rule. In a Deny
// it is how many calls are let be: the rule denies those beyond and no others,
// whatever allows them.
type Limit struct {
	// Rate is how many calls Per interval, 1 to 1,000,000.
	Rate int `json:"rate" yaml:"rate"`
	// Per is required.
	Per Interval `json:"per" yaml:"per"`
	// Burst is how many may come at once, up to 1,000,000; 0 means as many as
	// come in one second at the rate, and at least one.
	Burst int `json:"burst,omitempty" yaml:"burst,omitempty"`
	// Key says who shares the limit; Caller when empty.
	Key Key `json:"key,omitempty" yaml:"key,omitempty"`
}

// An Interval is a unit of time.
type Interval string

// The intervals.
const (
	Second Interval = "Second"
	Minute Interval = "Minute"
	Hour   Interval = "Hour"
)

// Key says who shares a limit.
type Key string

// The keys.
const (
	// Caller: every SPIFFE ID has a limit of its own, and those without an
	// identity share one.
	Caller Key = "Caller"
	// Route: every pattern of the rule's paths has a limit of its own, which all
	// callers share.
	Route Key = "Route"
	// Total: there is one limit for all calls of the rule.
	Total Key = "Total"
)

// A Quota is the limit of one rule, compiled. Quotas that are equal are the same
// limit, also in another Set.
type Quota struct {
	RuleName
	// Every is the time in which one call becomes possible again.
	Every time.Duration
	// Burst is how many may come at once.
	Burst int
	Key   Key
}

// A Share says whose part of a quota a call uses: that of a caller, that of a
// route, or, if it is zero, everybody's.
type Share struct {
	// Caller is a SPIFFE ID.
	Caller string
	// Route is the number of a path pattern in the rule, from 1.
	Route int
}

// A Meter counts calls. It is handed to a decision that counts, so that the
// decision itself needs no clock.
type Meter interface {
	// Take uses up one call of the quota with that index in [Set.Quotas]. If
	// there is none left it returns false and in how long there will be one.
	Take(quota int, of Share) (wait time.Duration, ok bool)
}

func (i Interval) duration() time.Duration {
	switch i {
	case Second:
		return time.Second
	case Minute:
		return time.Minute
	case Hour:
		return time.Hour
	}
	return 0
}

// quota compiles a limit that is valid.
func (l *Limit) quota(of RuleName) Quota {
	q := Quota{RuleName: of, Every: l.Per.duration() / time.Duration(l.Rate), Burst: l.Burst, Key: l.key()}
	if q.Burst == 0 {
		q.Burst = max(1, int(time.Second/q.Every))
	}
	return q
}

func (l *Limit) key() Key {
	if l.Key == "" {
		return Caller
	}
	return l.Key
}

// most bounds rate and burst: a microsecond between two calls is as fine as the
// arithmetic of quotas is exact.
const most = 1_000_000

func (l *Limit) check(r *reporter, where string) {
	if l.Rate < 1 || l.Rate > most {
		r.report(where+".rate", strconv.Itoa(l.Rate), wrong("is not a rate", "write how many calls, 1 to 1000000"))
	}
	if l.Per.duration() == 0 {
		r.report(where+".per", string(l.Per), wrong("is not an interval", "write Second, Minute or Hour"))
	}
	if l.Burst < 0 || l.Burst > most {
		r.report(where+".burst", strconv.Itoa(l.Burst), wrong("is not a burst", "write how many calls, 1 to 1000000"))
	}
	switch l.Key {
	case "", Caller, Route, Total:
	default:
		r.report(where+".key", string(l.Key), wrong("is not a key", "write Caller, Route or Total"))
	}
}

// share is whose part of the rule's quota a call uses.
func (r *rule) share(f *facts) Share {
	switch r.limit.Key {
	case Total:
		return Share{}
	case Route:
		return Share{Route: r.route(f)}
	default:
	}
	return Share{Caller: f.id}
}

// route is the number of the first path pattern that matches, from 1; 0 where
// the group that matches names none.
func (r *rule) route(f *facts) int {
	before := 1
	for _, group := range r.to {
		for i := range group {
			c := &group[i]
			if c.field != paths || c.not {
				continue
			}
			if n := c.values.position(f.req.Path, f.escaped); n >= 0 && allHold(group, f, true) {
				return before + n
			}
			before += len(c.values.list)
		}
	}
	return 0
}
