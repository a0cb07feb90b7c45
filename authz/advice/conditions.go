package advice

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
)

// conditions returns what the conditions of the candidate lack: every occurrence
// of a header has to match. No edit makes up for a header that was not sent.
func (s *search) conditions(c *candidate) (edits []edit, ok bool) {
	for i := range c.rule.When {
		w := &c.rule.When[i]
		if w.Connection != "" {
			// Where a call comes in is not up to its caller.
			if !s.matches(c.policy.Metadata.Namespace, authz.Allow, authz.Rule{When: []authz.Condition{*w}}) {
				return nil, false
			}
			continue
		}
		at := groupAt(ruleAt(c.index), "when", i)
		sent := s.sent(w.Header)
		if len(w.Values) > 0 && len(sent) == 0 {
			return nil, false
		}
		for _, value := range sent {
			if len(w.Values) > 0 && !s.conditionHolds(w.Header, value, w.Values, nil) {
				if strings.Contains(value, "*") || value == "" {
					return nil, false // it can't be written as a pattern
				}
				edits = append(edits, newEdit(c, at, texts("values", &w.Values), Add, value))
			}
		}
		for _, not := range w.NotValues {
			if slices.ContainsFunc(sent, func(v string) bool { return !s.conditionHolds(w.Header, v, nil, []string{not}) }) {
				edits = append(edits, newEdit(c, at, texts("notValues", &w.NotValues), Remove, not))
			}
		}
	}
	return edits, true
}

// sent are the values of a header of the request, each once.
func (s *search) sent(name string) (values []string) {
	if s.request.Header == nil {
		return nil
	}
	s.request.Header.Each(func(n, v string) bool {
		if strings.EqualFold(n, name) && !slices.Contains(values, v) {
			values = append(values, v)
		}
		return true
	})
	return values
}

// one is a header of one field.
type one struct{ name, value string }

func (o one) Each(yield func(name, value string) bool) { yield(o.name, o.value) }

func (s *search) conditionHolds(header, value string, is, isNot []string) bool {
	r := *s.request
	r.Header = one{header, value}
	alone := search{opts: s.opts, request: &r}
	return alone.matches("", authz.Allow, authz.Rule{When: []authz.Condition{{Header: header, Values: is, NotValues: isNot}}})
}

// narrow returns a rule for the call alone and the policy it may be added to.
func (s *search) narrow() (policy string, rule *authz.Rule) {
	if allows := s.selected(authz.Allow); len(allows) > 0 {
		policy = NameOf(allows[0])
	}
	if set, err := authz.Compile(s.policies, s.opts); err == nil {
		if n, ok := set.Nearest(s.request); ok {
			policy = n.Policy
		}
	}
	r := Rule(s.request)
	if r == nil || !s.matches("", authz.Allow, *r) {
		return policy, nil
	}
	return policy, r
}

// Rule is the narrowest rule that matches a request: its caller, port, method and
// path. That of a connection without HTTP holds for all that its caller does on the
// port. It is nil for a caller without identity, as it would be for everybody, and
// for what no pattern matches exactly.
func Rule(r *authz.Request) *authz.Rule {
	if r.Peer.IsZero() || r.Port == 0 {
		return nil
	}
	to := authz.To{Ports: []int{int(r.Port)}}
	if r.HTTP {
		path := PathPattern(r.Path)
		if path == "" || r.Method == "" {
			return nil
		}
		to.Methods, to.Paths = []string{r.Method}, []string{path}
	}
	return &authz.Rule{From: []authz.From{{Principals: []string{r.Peer.String()}}}, To: []authz.To{to}}
}
