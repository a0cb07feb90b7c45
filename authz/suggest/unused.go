package suggest

import (
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/authz/probe"
)

// An Entry is a part of a policy that no observed call needed.
type Entry struct {
	// Policy is its "namespace/name", or its name alone without a namespace.
	Policy string
	// Field is the path of the rule, the group or the value:
	// "spec.rules[0].to[0].methods[1]".
	Field string
	// Value is that of a value; empty for a rule or a group.
	Value string
}

// String is the entry in one line.
func (e Entry) String() string {
	text := e.Policy + ": " + e.Field
	if e.Value != "" {
		text += " " + strconv.Quote(e.Value)
	}
	return text
}

// Unused lists the parts of the enforced policies of a workload that no call of
// the log matched, whatever was decided: of a rule that none did, the rule; else
// of a group, the group; else each value of a positive field. Conditions count as
// met, for no log has headers. The policies must be valid.
func Unused(log *observed.Log, policies []authz.Policy, opts authz.Options) ([]Entry, error) {
	set, err := authz.Compile(policies, opts)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for i := range policies {
		p := &policies[i]
		if p.Spec.Mode == authz.DryRun || !slices.Contains(set.Policies(), advice.NameOf(p)) {
			continue
		}
		u := usage{policy: p, domain: opts.Workload.TrustDomain}
		for j := range p.Spec.Rules {
			u.rule(j, log.Calls)
		}
		all = append(all, u.unused...)
	}
	return all, nil
}

// A usage looks for what of one policy is not used.
type usage struct {
	policy *authz.Policy
	domain string
	unused []Entry
}

func (u *usage) report(field, value string) {
	u.unused = append(u.unused, Entry{advice.NameOf(u.policy), field, value})
}

// matching are the calls that a rule matches by itself.
func (u *usage) matching(r authz.Rule, calls []*observed.Tally) (matching []*observed.Tally) {
	p, err := probe.New(u.policy.Spec.Action, u.policy.Metadata.Namespace, u.domain, r)
	if err != nil {
		return calls // a part that is not valid by itself is not called unused
	}
	for _, c := range calls {
		if r := c.Request(); (!r.HTTP || r.Method != "") && p.Matches(r) {
			matching = append(matching, c)
		}
	}
	return matching
}

// rule looks into one rule.
func (u *usage) rule(index int, calls []*observed.Tally) {
	at := "spec.rules[" + strconv.Itoa(index) + "]"
	r := u.policy.Spec.Rules[index]
	r.When, r.Limit = nil, nil
	used := u.matching(r, calls)
	if len(used) == 0 {
		u.report(at, "")
		return
	}
	for i := range r.From {
		alone := r
		alone.From = slices.Clone(r.From[i : i+1])
		u.group(at+".from["+strconv.Itoa(i)+"]", len(r.From) > 1, alone, fromLists(&alone.From[0]), used)
	}
	for i := range r.To {
		alone := r
		alone.To = slices.Clone(r.To[i : i+1])
		u.group(at+".to["+strconv.Itoa(i)+"]", len(r.To) > 1, alone, toLists(&alone.To[0]), used)
	}
}

// group looks into one alternative of a rule, which alone has no other of its
// part; the lists are those of the group in it.
func (u *usage) group(at string, one bool, alone authz.Rule, lists []values, calls []*observed.Tally) {
	used := u.matching(alone, calls)
	if len(used) == 0 && one {
		u.report(at, "")
		return
	}
	for _, l := range lists {
		n := l.count()
		for i := 0; i < n && n > 1; i++ {
			restore := l.keep(i)
			if len(u.matching(alone, used)) == 0 {
				restore()
				u.report(at+"."+l.name+"["+strconv.Itoa(i)+"]", l.text(i))
				continue
			}
			restore()
		}
	}
}

// values are one positive field of a group.
type values struct {
	name  string
	count func() int
	text  func(i int) string
	// keep leaves the i-th value alone, until the function is called.
	keep func(i int) (restore func())
}

func list[T any](name string, field *[]T, text func(T) string) values {
	return values{
		name:  name,
		count: func() int { return len(*field) },
		text:  func(i int) string { return text((*field)[i]) },
		keep: func(i int) func() {
			before := *field
			*field = []T{before[i]}
			return func() { *field = before }
		},
	}
}

func itself(s string) string { return s }

func fromLists(g *authz.From) []values {
	return []values{
		list("principals", &g.Principals, itself), list("trustDomains", &g.TrustDomains, itself), list("namespaces", &g.Namespaces, itself),
		list("serviceAccounts", &g.ServiceAccounts, itself), list("ipBlocks", &g.IPBlocks, itself),
	}
}

func toLists(g *authz.To) []values {
	return []values{
		list("ports", &g.Ports, strconv.Itoa), list("hosts", &g.Hosts, itself), list("methods", &g.Methods, itself), list("paths", &g.Paths, itself),
	}
}
