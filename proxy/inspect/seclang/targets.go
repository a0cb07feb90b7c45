package seclang

import (
	"errors"
	"fmt"
	"strings"
)

// parseTargets adds a list of variables, separated by bars, to those that a rule
// has. One with an exclamation mark takes keys out of those before it.
func parseTargets(targets []Target, text string) ([]Target, error) {
	for text != "" {
		one, rest, err := cutTarget(text)
		if err != nil {
			return nil, err
		}
		text = rest
		if one.except {
			except(targets, one.Target)
			continue
		}
		targets = append(targets, one.Target)
	}
	return targets, nil
}

// A parsedTarget is one entry of a list.
type parsedTarget struct {
	Target
	except bool
}

// cutTarget reads the first entry and returns what follows its bar.
func cutTarget(text string) (t parsedTarget, rest string, err error) {
	for len(text) > 0 && (text[0] == '!' || text[0] == '&') {
		t.except = t.except || text[0] == '!'
		t.Count = t.Count || text[0] == '&'
		text = text[1:]
	}
	end := strings.IndexAny(text, ":|")
	if end < 0 {
		t.Variable = strings.ToUpper(text)
		return t, "", nil
	}
	t.Variable = strings.ToUpper(text[:end])
	if text[end] == '|' {
		return t, text[end+1:], nil
	}
	t.Key, rest, err = cutKey(text[end+1:], t.Variable)
	return t, rest, err
}

// cutKey reads a key: text up to a bar, or a regular expression in slashes, which
// may itself stand in single quotes. What XML has is a path.
func cutKey(text, variable string) (Key, string, error) {
	quoted := strings.HasPrefix(text, "'")
	if pattern, ok := strings.CutPrefix(strings.TrimPrefix(text, "'"), "/"); ok && variable != "XML" {
		body, rest, err := cutPattern(pattern)
		if err != nil {
			return Key{}, "", err
		}
		if quoted {
			if rest, ok = strings.CutPrefix(rest, "'"); !ok {
				return Key{}, "", errors.New("a quoted key has no end")
			}
		}
		if rest, ok = strings.CutPrefix(rest, "|"); !ok && rest != "" {
			return Key{}, "", fmt.Errorf("%q follows a key", rest)
		}
		return Key{Pattern: body}, rest, nil
	}
	if quoted {
		return Key{}, "", errors.New("a quoted key that is no pattern is not read")
	}
	key, rest, _ := strings.Cut(text, "|")
	return Key{Text: key}, rest, nil
}

// cutPattern reads up to the slash that no backslash guards.
func cutPattern(text string) (pattern, rest string, err error) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '/':
			return text[:i], text[i+1:], nil
		}
	}
	return "", "", errors.New("a pattern on keys has no end")
}

// except takes a key out of every target of its variable.
func except(targets []Target, of Target) {
	for i := range targets {
		if targets[i].Variable == of.Variable {
			targets[i].Except = append(targets[i].Except, of.Key)
		}
	}
}
