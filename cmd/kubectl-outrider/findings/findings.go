// Package findings says what is wrong, or soon will be, in a mesh that was surveyed.
// It is a pure function of the survey: the same one has the same findings, in the same
// order. Each has a code that stays what it is, so that people can search for it and
// programs can ignore it.
package findings

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
)

// Severity is how bad something is.
type Severity string

// The severities.
const (
	// Error is something that does not work, or does not protect.
	Error Severity = "error"
	// Warning is something that soon will not, or is not what somebody wanted.
	Warning Severity = "warning"
)

// A Finding is one thing.
type Finding struct {
	// Code is stable.
	Code Code `json:"code"`
	// Severity is that of the code.
	Severity Severity `json:"severity"`
	// Object is what it is about, such as "pod shop/web-1".
	Object string `json:"object"`
	// Message says what is so, Remedy what to do.
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// String is a finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s; %s (%s)", f.Severity, f.Object, f.Message, f.Remedy, f.Code)
}

// Check finds everything.
func Check(s *survey.Survey) []Finding {
	c := &checker{survey: s}
	c.reading()
	c.cluster()
	c.controlPlane()
	c.webhook()
	c.namespaces()
	c.pods()
	c.services()
	c.policies()
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Object, b.Object))
	})
	return c.found
}

// A checker gathers findings.
type checker struct {
	survey *survey.Survey
	found  []Finding
}

// add adds a finding. Its remedy and its severity are those of the code, unless a
// remedy is given.
func (c *checker) add(code Code, object, remedy, format string, args ...any) {
	e := explain(code)
	c.found = append(c.found, Finding{
		Code: code, Severity: e.Severity, Object: object, Message: fmt.Sprintf(format, args...), Remedy: cmp.Or(remedy, e.Remedy),
	})
}

// Count says how many are of a severity.
func Count(all []Finding, s Severity) (n int) {
	for _, f := range all {
		if f.Severity == s {
			n++
		}
	}
	return n
}
