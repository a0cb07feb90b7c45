// Package authz decides who may call.
package authz

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
)

// A Decision is the outcome of one evaluation and what it rests on. It is a
// plain value; making one allocates nothing.
type Decision struct {
	// Allowed is the outcome. The zero Decision denies.
	Allowed bool
	// Basis is the step that decided; zero when nothing was evaluated.
	Basis Basis
	// Policy is the "namespace/name" of the deciding policy; empty when none did.
	Policy string
	// Rule is the index of the deciding rule in its policy, from 0; -1 when none did.
	Rule int
}
