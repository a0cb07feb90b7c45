package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A Relaxation is a part of an inspection policy by which less is looked for, or less
// refused, than the policy would do without it.
type Relaxation struct {
	// Field is its path in the policy.
	Field string
	// What it does, for people, and the reason that is given there.
	What, Reason string
	// Expires is the first day on which it no longer does; the zero date means
	// never.
	Expires Date
}

// Until says for people when a relaxation ends.
func (r Relaxation) Until(now time.Time) string {
	switch {
	case r.Expires.IsZero():
		return "never ends"
	case r.Expires.Passed(now):
		return "ended " + r.Expires.Format(time.DateOnly)
	}
	return "ends " + r.Expires.Format(time.DateOnly)
}

// Relaxations lists them in their order.
func (s InspectionSpec) Relaxations() []Relaxation {
	all := s.failuresAllowed()
	all = append(all, exclusionsAt("spec.exclusions", s.Exclusions)...)
	whole := s.WithDefaults()
	for i, c := range s.Callers {
		at := strict.Index("spec.callers", i)
		if weaker := whole.For(c).weakerThan(whole); len(weaker) > 0 {
			all = append(all, Relaxation{
				Field: at, Reason: c.Reason, Expires: c.Expires,
				What: strings.Join(weaker, ", ") + " for " + strings.Join(c.Principals, ", "),
			})
		}
		for _, x := range exclusionsAt(at+".exclusions", c.Exclusions) {
			x.What += " for " + strings.Join(c.Principals, ", ")
			if x.Expires.IsZero() || !c.Expires.IsZero() && c.Expires.Before(x.Expires.Time) {
				x.Expires = c.Expires
			}
			all = append(all, x)
		}
	}
	return all
}

// failuresAllowed are the settings by which what was not inspected passes.
func (s InspectionSpec) failuresAllowed() (all []Relaxation) {
	f := s.OnFailure
	for _, m := range []struct {
		field string
		mode  FailureMode
	}{
		{"error", f.Error},
		{"timeout", f.Timeout},
		{"overload", f.Overload},
		{"encoding", f.Encoding},
		{"arguments", f.Arguments},
	} {
		if m.mode == FailAllow {
			all = append(all, Relaxation{Field: "spec.onFailure." + m.field, What: "what is not inspected for this reason passes"})
		}
	}
	return all
}

func exclusionsAt(at string, exclusions []Exclusion) (all []Relaxation) {
	for i, e := range exclusions {
		what := fmt.Sprintf("rule %d is not applied", e.Rule)
		if e.Parameter != "" {
			what += " to " + e.Parameter
		}
		if e.Path != "" {
			what += " on " + e.Path
		}
		all = append(all, Relaxation{Field: strict.Index(at, i), What: what, Reason: e.Reason, Expires: e.Expires})
	}
	return all
}

// weakerThan says in what a spec looks for less, or refuses less, than another. Both
// have their defaults.
func (s InspectionSpec) weakerThan(other InspectionSpec) (in []string) {
	if strictness(s.Mode) < strictness(other.Mode) {
		in = append(in, "mode "+string(s.Mode))
	}
	if s.Profile == ProfileMesh && other.Profile == ProfileCRS {
		in = append(in, "profile mesh")
	}
	if s.Paranoia < other.Paranoia {
		in = append(in, fmt.Sprintf("paranoia %d", s.Paranoia))
	}
	if s.Threshold > other.Threshold {
		in = append(in, fmt.Sprintf("threshold %d", s.Threshold))
	}
	if s.Body.InspectBytes < other.Body.InspectBytes {
		in = append(in, fmt.Sprintf("%d bytes of a body", s.Body.InspectBytes))
	}
	if s.Body.Overflow != other.Body.Overflow && other.Body.Overflow != OverflowPass && s.Body.Overflow != OverflowDeny {
		in = append(in, "overflow "+string(s.Body.Overflow))
	}
	return in
}

func strictness(m InspectionMode) int {
	switch m {
	case Block:
		return 2
	case DetectOnly:
		return 1
	case Off:
	}
	return 0
}
