package policytool

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/trial"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// An ExplainRequest asks what policies say of a call.
type ExplainRequest struct {
	// Policies is the directory of documents. Documents are those themselves, in its
	// place.
	Policies  string
	Documents *config.Documents
	// Workload is who is called.
	Workload authz.Workload
	// MTLS is the mode of the listener; empty: what the documents say.
	MTLS config.MTLSMode
	Call trial.Call
	// JSON prints for programs.
	JSON bool
}

// Explain prints what would become of a call, why, and the smallest change that
// would allow it. It tells whether the call is allowed.
func Explain(ctx context.Context, r ExplainRequest, out io.Writer) (allowed bool, err error) {
	documents := r.Documents
	if documents == nil {
		if documents, err = Load(ctx, r.Policies); err != nil {
			return false, err
		}
	}
	s, err := subject(documents, r.Workload, r.MTLS)
	if err != nil {
		return false, err
	}
	outcome, problems := s.Try(&r.Call)
	if len(problems) > 0 {
		return false, callProblems(problems)
	}
	a := answer{call: &r.Call, outcome: &outcome, workload: r.Workload}
	if outcome.Request != nil && !outcome.Allowed {
		a.change, a.changes = advice.Smallest(documents.Access, options(documents, r.Workload), outcome.Request)
	}
	if r.JSON {
		return outcome.Allowed, a.json(out)
	}
	p := &printer{w: out}
	a.text(p)
	return outcome.Allowed, p.err
}

// callProblems is an error for every part of a call that makes no sense.
func callProblems(problems []trial.Problem) error {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	return fmt.Errorf("the call: %s", strings.Join(lines, "\n"))
}

// An answer is an explanation to be printed.
type answer struct {
	call     *trial.Call
	workload authz.Workload
	outcome  *trial.Outcome
	change   advice.Change
	// changes tells that change holds something.
	changes bool
}

// What of an answer programs read. Names are stable.
type (
	answerJSON struct {
		Verdict string        `json:"verdict"`
		Basis   string        `json:"basis"`
		Policy  string        `json:"policy,omitempty"`
		Rule    *int          `json:"rule,omitempty"`
		Why     string        `json:"why"`
		Denies  []ruleJSON    `json:"denies,omitempty"`
		Allows  []ruleJSON    `json:"allows,omitempty"`
		Limits  []ruleJSON    `json:"limits,omitempty"`
		Nearest *nearestJSON  `json:"nearest,omitempty"`
		Change  []advice.Edit `json:"change,omitempty"`
		NewRule *newRuleJSON  `json:"newRule,omitempty"`
		Blocked []string      `json:"blocked,omitempty"`
	}
	ruleJSON struct {
		Policy string `json:"policy"`
		Rule   int    `json:"rule"`
	}
	nearestJSON struct {
		ruleJSON
		Fields []fieldJSON `json:"fields"`
	}
	fieldJSON struct {
		At      string `json:"at"`
		Matched bool   `json:"matched"`
		Text    string `json:"text"`
	}
	newRuleJSON struct {
		// Policy is empty where it takes a new one.
		Policy string     `json:"policy,omitempty"`
		Rule   authz.Rule `json:"rule"`
	}
)

func (a *answer) json(out io.Writer) error {
	o := a.outcome
	e := &o.Explanation
	j := answerJSON{
		Verdict: o.Verdict(), Basis: o.Basis, Policy: o.Policy, Why: o.Why, Denies: rulesJSON(e.Denies), Allows: rulesJSON(e.Allows), Limits: rulesJSON(e.Limits),
		Change: a.change.Edits, Blocked: a.change.Blockers,
	}
	if o.Policy != "" {
		j.Rule = &o.Rule
	}
	if n := e.Nearest; n != nil {
		j.Nearest = &nearestJSON{ruleJSON: ruleJSON(n.RuleName)}
		for _, f := range n.Fields {
			j.Nearest.Fields = append(j.Nearest.Fields, fieldJSON{f.At, f.Matched, f.Text})
		}
	}
	if a.change.Rule != nil {
		j.NewRule = &newRuleJSON{a.change.Policy, *a.change.Rule}
	}
	return writeJSON(out, j)
}

func rulesJSON(names []authz.RuleName) (all []ruleJSON) {
	for _, n := range names {
		all = append(all, ruleJSON(n))
	}
	return all
}
