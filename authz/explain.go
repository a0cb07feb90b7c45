package authz

// An Explanation is a [Decision] with all that led to it. It names policies and
// what they contain, so it is for people who may read them and never for the
// caller.
type Explanation struct {
	// Decision is what Authorize says of the request, or AuthorizeConnection of
	// an HTTP connection before its first request (a Request without a method).
	Decision Decision
	// Restricted tells that an Allow policy selects the workload, so that the
	// default is not asked.
	Restricted bool
	// Denies and Allows are all rules of either action that match, in the order
	// in which they are tried. Whoever is denied by a Deny is let in without it
	// only if an Allow matches too, or the default allows.
	Denies, Allows []RuleName
	// Limits are the rules whose limit the call would count against; those among
	// Allows only as far as no rule without a limit allows it.
	Limits []RuleName
	// Nearest is the Allow rule that came closest to matching; nil where one
	// matches and where there is none.
	Nearest *NearestRule
}

// A RuleName says which rule of which policy is meant.
type RuleName struct {
	// Policy is the "namespace/name" of the policy, or its name alone.
	Policy string
	// Rule is its index in the policy, from 0.
	Rule int
}

// A NearestRule is an Allow rule that did not match, field by field. Of several
// alternatives in from or to, the fields are those of the one with the fewest
// that failed.
type NearestRule struct {
	RuleName
	// Fields are in the order in which they are checked, those that match and
	// those that don't; at least one doesn't.
	Fields []FieldResult
}

// Failed returns the fields that did not match. When all of them did, the rule
// would.
func (n *NearestRule) Failed() (failed []FieldResult) {
	for _, f := range n.Fields {
		if !f.Matched {
			failed = append(failed, f)
		}
	}
	return failed
}

// A FieldResult is one field of a rule beside what a request has.
type FieldResult struct {
	// At is where the field stands in its policy: "spec.rules[0].to[1].methods".
	At string
	// Name is the field as documents spell it, "notMethods"; for a condition
	// about a header, the header's name.
	Name string
	// Not tells that the field is a not-form: none of Wanted may match.
	Not bool
	// Matched tells whether the field lets the request through.
	Matched bool
	// Known tells whether the request has such a fact at all; HTTP fields don't
	// exist for an opaque connection.
	Known bool
	// Got is the request's value. It is empty where there is none, and for
	// headers, which may hold secrets.
	Got string
	// Wanted are the values in the policy.
	Wanted []string
	// Text is the field in one line, long values and lists clipped:
	// `method "DELETE" not in [GET POST]`.
	Text string
}

// Explain decides again and tells why, at length. It looks at every rule and
// allocates: it is for whoever asks, not for each request.
func (s *Set) Explain(r *Request) Explanation {
	if s == nil {
		return Explanation{Decision: Decision{Rule: -1}}
	}
	known := r.decided()
	e := Explanation{Restricted: s.restricted}
	if r.HTTP && known == l7Never {
		known = l7Later
		e.Decision = s.AuthorizeConnection(r)
	} else {
		e.Decision = s.Authorize(r)
	}
	f := s.facts(r, known)
	e.Denies, e.Allows = s.deny.matching(&f, true), s.allow.matching(&f, false)
	e.Limits = s.limits(&f)
	if len(e.Allows) == 0 && len(s.allow.rules) > 0 {
		e.Nearest = s.allow.closest(&f, s.allow.root.rules).rule.explain(&f)
	}
	return e
}

// limits names the rules with a limit that match.
func (s *Set) limits(f *facts) (all []RuleName) {
	if m, _ := s.allow.find(f, wish{after: none}); m == nil {
		for i := range s.allow.rules {
			if r := &s.allow.rules[i]; r.limited() && r.matches(f, false) {
				all = append(all, r.name())
			}
		}
	}
	return append(append(all, s.own.matching(f, true)...), s.caps.matching(f, true)...)
}

// matching names all rules that match.
func (t *table) matching(f *facts, deny bool) (all []RuleName) {
	for i := range t.rules {
		if r := &t.rules[i]; r.matches(f, deny) {
			all = append(all, r.name())
		}
	}
	return all
}

// explain lays a rule beside the facts.
func (r *rule) explain(f *facts) *NearestRule {
	n := &NearestRule{RuleName: r.name()}
	rule := at("spec.rules", r.index)
	n.Fields = append(n.Fields, explainGroup(rule+".from", r.from, f)...)
	n.Fields = append(n.Fields, explainGroup(rule+".to", r.to, f)...)
	for i := range r.when {
		c := &r.when[i]
		n.Fields = append(n.Fields, c.explain(at(rule+".when", c.condition), f))
	}
	return n
}

// explainGroup lays the alternative that misses least beside the facts.
func explainGroup(where string, groups [][]check, f *facts) (all []FieldResult) {
	best, fewest := 0, -1
	for i := range groups {
		if n, _ := missedIn(groups[i], f); fewest < 0 || n < fewest {
			best, fewest = i, n
		}
	}
	if fewest < 0 {
		return nil
	}
	for i := range groups[best] {
		all = append(all, groups[best][i].explain(at(where, best), f))
	}
	return all
}

func (c *check) explain(where string, f *facts) FieldResult {
	value, known := c.value(f)
	return FieldResult{
		At: where + "." + fieldNames[c.field][rank(c.not)], Name: c.name(), Not: c.not,
		Matched: c.holds(f, false), Known: known, Got: value, Wanted: c.want, Text: c.line(f),
	}
}
