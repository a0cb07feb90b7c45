package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A directive is one logical line of SecLang, continuation lines included.
type directive struct {
	// line is where it begins, from 1.
	line int
	text string
}

// directiveNames are what a policy's rules may consist of. Everything else
// changes the engine for all rules, reads files, or does not exist.
var directiveNames = map[string]bool{
	"secrule":                  true,
	"secaction":                true,
	"secmarker":                true,
	"secruleremovebyid":        true,
	"secruleremovebytag":       true,
	"secruleupdatetargetbyid":  true,
	"secruleupdatetargetbytag": true,
	"secruleupdateactionbyid":  true,
}

// checks are the patterns that a policy's directives are held against.
type checks struct {
	// forbidden actions and operators reach out of the transaction, or switch
	// inspection off behind the policy's back.
	forbidden []forbidden
	// chained is in a directive that another one completes.
	chained *regexp.Regexp
	// removals find the ids of rules that are taken out or changed.
	removals, numbers *regexp.Regexp
	// scoringTag finds the removal of tags that the comparison has.
	scoringTag *regexp.Regexp
}

type forbidden struct {
	pattern *regexp.Regexp
	why     string
}

// compileChecks is made at the first use: a sidecar that inspects nothing does
// not hold them.
var compileChecks = sync.OnceValue(func() *checks {
	rx := regexp.MustCompile
	return &checks{
		forbidden: []forbidden{
			{rx(`(?i)\bctl\s*:\s*'?\s*(ruleEngine|requestBodyAccess|requestBodyLimit)\b`), "switches inspection off; use mode, callers or exclusions"},
			{rx(`(?i)\bctl\s*:\s*'?\s*(auditEngine|auditLogParts|debugLogLevel)\b`), "changes logging, which is not the rules' business"},
			{rx(`(?i)["',\s](exec|setenv|initcol)\s*:`), "reaches out of the transaction"},
			{rx(`(?i)"\s*!?@(inspectFile|rbl|geoLookup|ipMatchFromFile|pmFromFile|validateSchema)\b`), "reads files or asks the network"},
		},
		chained:    rx(`(?i)["',\s]chain\s*(,|"|$)`),
		removals:   rx(`(?i)(?:^SecRule(?:RemoveById|UpdateTargetById|UpdateActionById)\s|ctl\s*:\s*'?\s*ruleRemove(?:Target)?ById\s*=)\s*"?([0-9 "-]+)`),
		numbers:    rx(`([0-9]+)(?:\s*-\s*([0-9]+))?`),
		scoringTag: rx(`(?i)(?:^SecRuleRemoveByTag\s|ctl\s*:\s*'?\s*ruleRemoveByTag\s*=)\s*"?'?(anomaly-evaluation|OWASP_CRS(?:["',\s]|$))`),
	}
})

// splitDirectives cuts a policy's rules into directives as Coraza's parser
// would, and refuses what that parser would drop without a word: an unfinished
// last directive, an open chain and overlong lines. An error names the line.
func splitDirectives(text string) ([]directive, error) {
	if len(text) > maxRulesBytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(text), maxRulesBytes)
	}
	var (
		all  []directive
		open directive
	)
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if open.line == 0 {
			open.line = n + 1
		}
		if len(open.text)+len(line) > maxDirectiveBytes {
			return nil, fmt.Errorf("line %d: the directive is longer than %d bytes", open.line, maxDirectiveBytes)
		}
		body, more := strings.CutSuffix(line, `\`)
		open.text += body
		if more {
			continue
		}
		if err := checkDirective(open.text); err != nil {
			return nil, fmt.Errorf("line %d: %w", open.line, err)
		}
		all = append(all, open)
		open = directive{}
	}
	if open.line != 0 {
		return nil, fmt.Errorf(`line %d: the directive ends with a \ and nothing follows`, open.line)
	}
	if n := len(all); n > 0 && compileChecks().chained.MatchString(all[n-1].text) {
		return nil, fmt.Errorf("line %d: the chain has no rule to complete it", all[n-1].line)
	}
	return all, nil
}

// checkDirective refuses what a policy's rules may not do.
func checkDirective(text string) error {
	name, _, _ := strings.Cut(text, " ")
	if !directiveNames[strings.ToLower(name)] {
		return fmt.Errorf("%q is not a directive that a policy may use", name)
	}
	if strings.HasSuffix(text, "`") {
		return errors.New("a directive cannot end with a backtick")
	}
	c := compileChecks()
	for _, f := range c.forbidden {
		if m := f.pattern.FindString(text); m != "" {
			return fmt.Errorf("%q %s", strings.Trim(m, `"', `), f.why)
		}
	}
	if m := c.scoringTag.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("tag %q includes the rule that compares the score", strings.Trim(m[1], `"', `))
	}
	for _, m := range c.removals.FindAllStringSubmatch(text, -1) {
		if id, reason := c.protectedIn(m[1]); reason != "" {
			return fmt.Errorf("rule %d %s", id, reason)
		}
	}
	return nil
}

// maxRuleID is beyond every range that anybody has reserved.
const maxRuleID = 99_999_999

// protectedIn finds a protected rule in a list of ids and ranges of ids.
func (c *checks) protectedIn(list string) (int, string) {
	for _, m := range c.numbers.FindAllStringSubmatch(list, -1) {
		from, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, "is not a rule id"
		}
		to := from
		if m[2] != "" {
			if to, err = strconv.Atoi(m[2]); err != nil {
				return from, "begins a range that ends in no rule id"
			}
		}
		if from > maxRuleID || to > maxRuleID {
			return to, "is not a rule id"
		}
		// The protected ids stand in blocks of a thousand at least.
		for id := from; id <= to; id += min(1000, max(1, to-id)) {
			if reason := protected(id); reason != "" {
				return id, reason
			}
		}
	}
	return 0, ""
}
