// Package inspect is the built-in web application firewall: it judges one
// request at a time with Coraza and the OWASP Core Rule Set and says what it
// found as a value, [flow.Inspection].
//
// It promises that
//   - nothing is let through silently: what was not inspected is a typed
//     outcome with its reason, refused unless the policy allows that reason;
//   - an engine exists only where a policy turns inspection on;
//   - a new set of policies replaces the old one between two requests, and the
//     old engine is released when its last transaction has ended;
//   - verdicts name rules and places, never the payload.
//
// It knows no protocol: the caller asks for a [Plan], which says how much of the body
// is to be held for a verdict, or copied for one that comes when the request is over,
// and hands that over. Which status a refusal becomes is decided elsewhere, in one
// place. Answers are not inspected.
//
// docs/waf.md is the manual, docs/waf-detection.md says how much it finds, and
// docs/waf-rationale.md why it fails closed.
package inspect
