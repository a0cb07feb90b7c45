package authz

import (
	"strconv"
	"time"
)

// A Basis says which step of the evaluation decided.
type Basis uint8

// The steps, in the order in which they are tried.
const (
	// ByDeny: an enforced Deny policy matched.
	ByDeny Basis = iota + 1
	// ByAllow: an Allow policy matched.
	ByAllow
	// NoAllowMatched: Allow policies select the workload and none matched.
	NoAllowMatched
	// ByDefault: no Allow policy selects the workload; defaultAccess decided.
	ByDefault
	// PerRequest: nothing refuses the HTTP connection as a whole, each of its
	// requests is decided by itself. Only [Set.AuthorizeConnection] says so.
	PerRequest
	// ByLimit: a limit is used up, and nothing else allows the call or only a
	// Deny with that limit is in its way. Only [Set.Admit] says so.
	ByLimit
)

// String returns the stable snake_case name used in logs and metrics; "-" for
// the zero Basis.
func (b Basis) String() string {
	switch b {
	case ByDeny:
		return "deny"
	case ByAllow:
		return "allow"
	case NoAllowMatched:
		return "no_allow_matched"
	case ByDefault:
		return "default"
	case PerRequest:
		return "per_request"
	case ByLimit:
		return "limit"
	}
	return "-"
}

// A Decision is the outcome of one evaluation and what it rests on. It is a
// plain value; making one allocates nothing.
type Decision struct {
	// Allowed is the outcome. The zero Decision denies.
	Allowed bool
	// Basis is the step that decided; zero when nothing was evaluated.
	Basis Basis
	// Policy is the "namespace/name" of the deciding policy, or its name alone
	// when it has no namespace; empty when none decided.
	Policy string
	// Rule is the index of the deciding rule in its policy, from 0; -1 when none did.
	Rule int
	// RetryAfter is in how long the limit will have room again; 0 unless the
	// basis is ByLimit.
	RetryAfter time.Duration
}

// Granted tells whether policies allow the call, whether or not a limit is used up.
func (d Decision) Granted() bool { return d.Allowed || d.Basis == ByLimit }

// String explains the decision in one line for our own log. It names policies,
// so it must not be sent to the caller.
func (d Decision) String() string {
	verdict := "denied"
	if d.Allowed {
		verdict = "allowed"
	}
	switch d.Basis {
	case ByDeny, ByAllow:
		return verdict + " by " + d.Policy + " rule " + strconv.Itoa(d.Rule)
	case NoAllowMatched:
		return verdict + ": allow policies select the workload and none matched"
	case ByDefault:
		return verdict + " by default access: no allow policy selects the workload"
	case PerRequest:
		return verdict + ": each request of the connection is decided by itself"
	case ByLimit:
		return verdict + ": the limit of " + d.Policy + " rule " + strconv.Itoa(d.Rule) + " is used up"
	}
	return verdict + ": nothing was evaluated"
}
