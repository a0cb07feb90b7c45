// Package authz decides who may call.
//
// It turns AccessPolicy documents into one immutable [Set] and asks it about
// connections and requests. The steps are those of docs/policy.md: an enforced
// Deny that matches denies; else, if Allow policies select the workload, one of
// them must match; else the default decides.
//
// The package promises that a decision is pure (no clock, log, network or other
// I/O), that it allocates nothing, that whatever it cannot know counts against
// the caller, and that the decision names the policy and the rule it rests on.
//
// It neither reads documents nor writes refusals: proxy/config decodes the
// types declared here, and proxy/enforce turns a [Decision] into an answer.
package authz
