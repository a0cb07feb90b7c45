package config

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A Problem is one thing that is wrong or questionable in a document.
type Problem = strict.Problem

// Severity tells a mistake from advice.
type Severity = strict.Severity

// The severities of a problem.
const (
	// Error keeps a document from being used.
	Error = strict.Error
	// Warning does not.
	Warning = strict.Warning
)

// Invalid is the error for documents that are not accepted. It holds every
// problem that was found, warnings included, ordered by file and line.
type Invalid struct {
	Problems []Problem
}

// Error lists every problem, one a line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// invalid returns an error when one of the problems is one.
func invalid(problems []Problem) error {
	if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error }) {
		return nil
	}
	return &Invalid{Problems: problems}
}

// merge joins what decoding and validating found. Where decoding failed, the
// zero value that stands there instead is not reported a second time.
func merge(decoding, validating []Problem) []Problem {
	all := slices.Clone(decoding)
	for _, p := range validating {
		if !slices.ContainsFunc(decoding, func(d Problem) bool { return covers(d.Field, p.Field) }) {
			all = append(all, p)
		}
	}
	order(all)
	return all
}

// covers tells whether field is outer or stands within it.
func covers(outer, field string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func order(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
}
