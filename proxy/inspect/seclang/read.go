package seclang

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// New returns a set without rules.
func New() *Set {
	return &Set{Settings: map[string]string{}, defaults: map[int][]Action{}}
}

// Read adds the text of a file, as the engine would have it run after all that
// was read before.
func (s *Set) Read(text string) error {
	var open strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.HasSuffix(line, "`") {
			return errors.New("lists in backticks are not read")
		}
		body, more := strings.CutSuffix(line, `\`)
		open.WriteString(body)
		if more {
			continue
		}
		if err := s.directive(open.String()); err != nil {
			return err
		}
		open.Reset()
	}
	if open.Len() > 0 {
		return errors.New("the last directive has no end")
	}
	return nil
}

// ReadFile is Read of a file.
func (s *Set) ReadFile(from fs.FS, name string) error {
	text, err := fs.ReadFile(from, name)
	if err == nil {
		err = s.Read(string(text))
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	return nil
}

// directive reads one logical line.
func (s *Set) directive(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	name = strings.ToLower(name)
	if len(rest) >= 3 && rest[0] == '"' && rest[len(rest)-1] == '"' {
		rest = strings.Trim(rest, `"`)
	}
	var err error
	switch name {
	case "secrule":
		err = s.rule(rest)
	case "secaction":
		err = s.action(rest)
	case "secmarker":
		s.add(&Rule{Mark: unquote(strings.TrimSpace(rest))})
	case "secdefaultaction":
		s.defaultAction(rest)
	case "secruleremovebyid":
		err = s.removeByID(rest)
	case "secruleremovebytag":
		s.removeByTag(strings.Trim(rest, `"`))
	case "secruleupdatetargetbyid":
		err = s.updateTargetByID(rest)
	case "secruleupdatetargetbytag":
		err = s.updateTargetByTag(rest)
	default:
		err = s.setting(name, rest)
	}
	if err != nil {
		return fmt.Errorf("%s %.80q: %w", name, rest, err)
	}
	return nil
}

// settings are directives that change no rule. What else there is must be
// understood first.
func isSetting(name string) bool {
	switch name {
	case "secruleengine", "secauditengine", "secuploadkeepfiles", "secrequestbodyaccess",
		"secrequestbodylimitaction", "secresponsebodyaccess", "secrxprefilter",
		"secrequestbodyjsondepthlimit", "secargumentslimit", "secrequestbodylimit",
		"secrequestbodyinmemorylimit", "seccomponentsignature", "seccollectiontimeout":
		return true
	}
	return false
}

func (s *Set) setting(name, rest string) error {
	if !isSetting(name) {
		return errors.New("the directive is not understood")
	}
	s.Settings[name] = strings.TrimSpace(rest)
	return nil
}

// rule reads a SecRule: variables, an operator in quotes, actions in quotes.
func (s *Set) rule(data string) error {
	variables, rest, ok := strings.Cut(strings.Trim(data, " "), " ")
	if !ok {
		return errors.New("there is no operator")
	}
	operator, rest, err := cutQuoted(strings.TrimLeft(rest, " "))
	if err != nil {
		return err
	}
	r := &Rule{Phase: 2, Operator: parseOperator(unescape(operator))}
	if r.Targets, err = parseTargets(nil, variables); err != nil {
		return err
	}
	return s.finish(r, unquote(strings.TrimLeft(rest, " ")))
}

// action reads a SecAction.
func (s *Set) action(data string) error {
	return s.finish(&Rule{Phase: 2}, unquote(data))
}

// finish reads a rule's actions and puts the rule where it belongs.
func (s *Set) finish(r *Rule, actions string) error {
	r.setActions(s.merge(splitActions(actions)))
	if n := len(s.Rules); n > 0 && s.Rules[n-1].expectsLink() {
		parent := s.Rules[n-1]
		parent.Links = append(parent.Links, r)
		return nil
	}
	s.add(r)
	return nil
}

func (s *Set) add(r *Rule) { s.Rules = append(s.Rules, r) }

// cutQuoted splits a string in double quotes off; a backslash guards a quote.
func cutQuoted(s string) (text, rest string, err error) {
	if s == "" || s[0] != '"' {
		return "", "", errors.New("there is no string in quotes")
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], nil
		}
	}
	return "", "", errors.New("a quote has no end")
}

// unescape removes the backslash in front of a quote, and no other.
func unescape(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

// unquote removes one pair of quotes of either kind.
func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

func parseOperator(text string) Operator {
	var o Operator
	switch {
	case strings.HasPrefix(text, "@"):
		text = text[1:]
	case strings.HasPrefix(text, "!@"):
		o.Negated, text = true, text[2:]
	case text == "!":
		o.Negated, text = true, "rx"
	case strings.HasPrefix(text, "!"):
		o.Negated, text = true, "rx "+text[1:]
	default:
		text = "rx " + text
	}
	name, argument, _ := strings.Cut(text, " ")
	o.Name, o.Argument = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(argument)
	return o
}
