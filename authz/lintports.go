package authz

import (
	"slices"
	"strconv"
)

// LintPorts looks for rules with fields of HTTP that concern ports which are
// known to carry something else, of policies that select the workload. They must
// be valid.
func LintPorts(policies []Policy, w Workload, opaque []uint16) (problems []Problem) {
	all, reporters := build(policies)
	for i, b := range all {
		if !w.selectedBy(b.policy) {
			continue
		}
		for j := range b.rules {
			for _, port := range opaque {
				lintPort(reporters[i], b.policy.Spec.Action, at("spec.rules", j), &b.rules[j], port)
			}
		}
		problems = append(problems, reporters[i].problems...)
	}
	return slices.DeleteFunc(problems, func(p Problem) bool { return p.Code != AllowNeedsHTTP && p.Code != DenyIgnoresHTTP })
}

// lintPort compares a rule with one port that carries no HTTP. An Allow has to
// name it, for without ports it is meant for others.
func lintPort(r *reporter, action Action, where string, rule *rule, port uint16) {
	asks, value := asksHTTP(rule.when), strconv.Itoa(int(port))
	ignores := suspicious(DenyIgnoresHTTP,
		"denies connections to port "+value+" by its other fields alone: it carries no HTTP", "name the ports it is meant for")
	if len(rule.to) == 0 && asks && action == Deny {
		r.report(where, "", ignores)
	}
	for n, group := range rule.to {
		concerned, named := concerns(group, port)
		switch at := at(where+".to", n); {
		case !concerned || !asks && !asksHTTP(group):
		case action == Deny:
			r.report(at, "", ignores)
		case named:
			r.report(at, "", suspicious(AllowNeedsHTTP,
				"allows nothing on port "+value+": it carries no HTTP", "leave out what is of HTTP, or the port"))
		}
	}
}

// concerns tells whether a group is about a port, and whether it names ports.
func concerns(group []check, port uint16) (concerned, named bool) {
	concerned = true
	for _, c := range group {
		if c.field == ports {
			concerned = concerned && c.not != slices.Contains(c.ports, port)
			named = named || !c.not
		}
	}
	return concerned, named
}
