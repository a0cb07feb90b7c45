package trial

import (
	"strconv"
)

// Expectation is a verdict that somebody expects.
type Expectation string

// The expectations.
const (
	Allow Expectation = "allow"
	Deny  Expectation = "deny"
)

// Values lists what a document may say.
func (Expectation) Values() []string { return []string{string(Allow), string(Deny)} }

// A Case is a call and what is expected of it.
type Case struct {
	// Name is a sentence for reports.
	Name string `yaml:"name"`
	Call `yaml:",inline"`
	// Expect is required.
	Expect Expectation `yaml:"expect"`
	// Policy is the policy that must have decided; empty for whichever.
	Policy string `yaml:"policy,omitempty"`
	// Rule is the rule of Policy; nil for whichever.
	Rule *int `yaml:"rule,omitempty"`
}

// A Result is a case that was tried.
type Result struct {
	Case *Case
	// At says where the case stands, such as "cases.yaml:12".
	At      string
	Outcome Outcome
	// Failed tells that the outcome is not the expected one.
	Failed bool
}

// Want is what was expected, in the words of [Outcome.String].
func (r *Result) Want() string {
	text := string(r.Case.Expect)
	if r.Case.Policy != "" {
		text += " by " + r.Case.Policy
	}
	if r.Case.Rule != nil {
		text += " rule " + strconv.Itoa(*r.Case.Rule)
	}
	return text
}

// Run tries a case.
func (s Subject) Run(c *Case, at string) (Result, []Problem) {
	o, problems := s.Try(&c.Call)
	if c.Name == "" {
		problems = append(problems, Problem{"name", "", "is missing", "say in a sentence what is expected"})
	}
	if c.Expect != Allow && c.Expect != Deny {
		problems = append(problems, Problem{"expect", "", "is missing", "write allow or deny"})
	}
	if c.Rule != nil && c.Policy == "" {
		problems = append(problems, Problem{"rule", strconv.Itoa(*c.Rule), "says not of which policy", "name the policy as well"})
	}
	r := Result{Case: c, At: at, Outcome: o}
	r.Failed = len(problems) > 0 || o.Verdict() != string(c.Expect) ||
		c.Policy != "" && o.Policy != c.Policy || c.Rule != nil && o.Rule != *c.Rule
	return r, problems
}

// A Report is a suite that was run.
type Report struct {
	// Name is the suite's.
	Name    string
	Results []Result
	// Idle are enforced rules that decided none of the cases, as
	// "namespace/name rule 0".
	Idle []string
}

// Failures counts the results that failed.
func (r *Report) Failures() (n int) {
	for i := range r.Results {
		if r.Results[i].Failed {
			n++
		}
	}
	return n
}

// Decided tells which rules decided a case, by "namespace/name rule 0".
func (r *Report) Decided() map[string]bool {
	all := map[string]bool{}
	for i := range r.Results {
		if o := &r.Results[i].Outcome; o.Policy != "" {
			all[o.Policy+" rule "+strconv.Itoa(o.Rule)] = true
		}
	}
	return all
}
