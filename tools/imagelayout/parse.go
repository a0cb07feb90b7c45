package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A stage is what stands between two FROM lines.
type stage struct {
	name, base string
	steps      []step
}

// A step is one instruction with its words, continuation lines joined.
type step struct {
	line int
	op   string // upper case
	args string
}

// parse splits a Dockerfile into its stages. It knows neither heredocs nor
// parser directives.
func parse(text string) ([]stage, error) {
	var stages []stage
	var joined string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" && joined == "" {
			continue
		}
		if rest, more := strings.CutSuffix(line, "\\"); more {
			joined += rest + " "
			continue
		}
		op, args, _ := strings.Cut(joined+line, " ")
		joined = ""
		s := step{line: i + 1, op: strings.ToUpper(op), args: strings.TrimSpace(args)}
		if s.op == "FROM" {
			st, err := parseFrom(s)
			if err != nil {
				return nil, err
			}
			stages = append(stages, st)
			continue
		}
		if len(stages) == 0 {
			return nil, fmt.Errorf("line %d: %s before the first FROM", s.line, s.op)
		}
		last := &stages[len(stages)-1]
		last.steps = append(last.steps, s)
	}
	if len(stages) == 0 {
		return nil, fmt.Errorf("no FROM")
	}
	return stages, nil
}

func parseFrom(s step) (stage, error) {
	words, _ := splitOptions(s.args)
	if len(words) != 3 || !strings.EqualFold(words[1], "AS") {
		return stage{}, fmt.Errorf("line %d: want FROM base AS name, got %q", s.line, s.args)
	}
	base := words[0]
	if base != "scratch" {
		name, tag, ok := strings.Cut(base, ":")
		if !ok || tag == "latest" {
			return stage{}, fmt.Errorf("line %d: base %q has no version", s.line, base)
		}
		if host, _, ok := strings.Cut(name, "/"); ok && strings.Contains(host, ".") {
			return stage{}, fmt.Errorf("line %d: base %q names a registry", s.line, base)
		}
	}
	return stage{name: words[2], base: base}, nil
}

// splitOptions splits the leading --name=value words from the others.
func splitOptions(args string) (words []string, opts map[string]string) {
	opts = map[string]string{}
	for _, w := range strings.Fields(args) {
		if name, value, ok := strings.Cut(w, "="); ok && len(words) == 0 && strings.HasPrefix(name, "--") {
			opts[name[2:]] = value
			continue
		}
		words = append(words, w)
	}
	return words, opts
}

// execForm reads the JSON array of ENTRYPOINT and CMD. The shell form is an
// error: there is no shell in the image.
func execForm(s step) ([]string, error) {
	var words []string
	if err := json.Unmarshal([]byte(s.args), &words); err != nil || len(words) == 0 {
		return nil, fmt.Errorf("line %d: %s must be a JSON array, as the image has no shell", s.line, s.op)
	}
	return words, nil
}
