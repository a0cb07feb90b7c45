package policytool

import (
	"fmt"
	"io"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/trial"
)

// A printer keeps the first error, so that lines need not be checked one by one.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// text prints an answer for people.
func (a *answer) text(p *printer) {
	o := a.outcome
	p.printf("%s\n\n", verdictLine(o))
	p.printf("  %-10s  %s\n", "call", callLine(a.call, a.workload))
	p.printf("  %-10s  %s\n", "caller", callerLine(a.call))
	if o.Request != nil && o.Request.HTTP && o.Request.Path != a.call.Path {
		p.printf("  %-10s  %s\n", "path", "policies see it as "+o.Request.Path)
	}
	if o.Request == nil { // policies were not asked
		p.printf("  %-10s  %s\n", "why", o.Why)
		return
	}
	a.reasons(p)
	a.remedies(p)
}

// outcomeOf is a decision made again for the facts of a record.
func outcomeOf(e authz.Explanation, r *authz.Request) *trial.Outcome {
	d := e.Decision
	return &trial.Outcome{Allowed: d.Allowed, Basis: d.Basis.String(), Policy: d.Policy, Rule: d.Rule, Request: r, Explanation: e}
}

// reasons are the rules that speak for or against the call.
func (a *answer) reasons(p *printer) {
	e := &a.outcome.Explanation
	for _, d := range e.Denies {
		p.printf("  %-10s  %s rule %d\n", "denied by", d.Policy, d.Rule)
	}
	for _, d := range e.Allows {
		p.printf("  %-10s  %s rule %d\n", "allowed by", d.Policy, d.Rule)
	}
	for _, l := range e.Limits {
		p.printf("  %-10s  %s rule %d, beyond which it is refused; limits are not counted here\n", "limited by", l.Policy, l.Rule)
	}
	if !e.Restricted {
		p.printf("  %-10s  no Allow policy selects the workload, so defaultAccess of MeshConfig decides\n", "default")
	}
	n := e.Nearest
	if n == nil {
		return
	}
	p.printf("  %-10s  %s rule %d\n", "nearest", n.Policy, n.Rule)
	for _, f := range n.Fields {
		mark := "✓"
		if !f.Matched {
			mark = "✗"
		}
		p.printf("              %s %s\n", mark, f.Text)
	}
}

// remedies say what would allow the call.
func (a *answer) remedies(p *printer) {
	c := &a.change
	switch {
	case a.outcome.Allowed:
		return
	case !a.changes && a.outcome.Request.Peer.IsZero():
		p.printf("\nNo change of policies lets this caller in alone: it has no identity.\nGive it one, and name that.\n")
		return
	case !a.changes:
		p.printf("\nNo change of one value would allow it.\n")
		return
	case len(c.Blockers) > 0:
		p.printf("\nNo change of a value would allow it: %s would have to go.\n", strings.Join(c.Blockers, " and "))
		return
	}
	if len(c.Edits) > 0 {
		p.printf("\nThe smallest change that would allow it:\n")
		for _, e := range c.Edits {
			p.printf("  %s\n", e)
		}
	}
	if c.Rule != nil {
		a.narrow(p)
	}
}

// narrow shows the rule that opens nothing else, and the edits of Deny policies
// that are needed all the same.
func (a *answer) narrow(p *printer) {
	where, intro := "a new Allow policy", "This would allow it and nothing else"
	if a.change.Policy != "" {
		where = a.change.Policy
	}
	if len(a.change.Edits) > 0 {
		intro = "Or, opening nothing else on the side of Allow"
	}
	p.printf("\n%s: this rule in %s\n", intro, where)
	p.printf("%s", indented(ruleYAML(*a.change.Rule)))
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

func verdictLine(o *trial.Outcome) string {
	if o.Allowed {
		return "allowed" + strings.TrimPrefix(o.String(), "allow")
	}
	return "denied" + strings.TrimPrefix(o.String(), "deny")
}

func callLine(c *trial.Call, w authz.Workload) string {
	what := "opaque bytes"
	if c.Path != "" {
		what = c.Method + " " + c.Path
	}
	return fmt.Sprintf("%s, port %d of %s", what, c.To, advice.NameOf(&authz.Policy{Metadata: authz.Metadata{Name: w.Name, Namespace: w.Namespace}}))
}

func callerLine(c *trial.Call) string {
	text := c.From
	if c.From == trial.Plaintext {
		text = "plaintext, so nobody knows who"
	}
	if c.Source != "" {
		text += " from " + c.Source
	}
	return text
}
