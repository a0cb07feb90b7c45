// Package gate proves requests clean without the inspection engine: that no rule
// which counts would match them. What it cannot prove goes to the engine, so that
// every verdict other than clean, and its rules, are the engine's own.
//
// It reads the rule set that is in force and sorts its rules once, when it is built:
//   - what depends on the configuration alone (paranoia levels, scores at the
//     beginning) is evaluated and gone;
//   - a rule that looks at values one by one and would count becomes a probe. A pass
//     over a value says which kinds of bytes it has, another which texts; a probe
//     that needs others cannot match. One that is left is asked in earnest;
//   - a chain that looks at one header field at a time is evaluated per field;
//   - what is left is evaluated rule by rule, in order, as the engine does.
//
// Where a step is not exact, it errs towards a match. A rule that is not understood
// makes every request not provable; [Gate.Refused] names it.
//
// Most header fields of a service's callers are the same in every request, so a field
// that was found clean is remembered, up to a bound.
//
// A Gate belongs to one rule set, is immutable but for what it remembers, and is safe
// for concurrent use.
package gate
