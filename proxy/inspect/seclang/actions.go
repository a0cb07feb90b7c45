package seclang

import (
	"strconv"
	"strings"
)

// splitActions cuts a list at its commas, where they stand in no single quotes.
func splitActions(text string) []Action {
	var all []Action
	start, colon, quoted := 0, -1, false
	flush := func(end int) {
		name, value := text[start:end], ""
		if colon >= 0 {
			name, value = text[start:colon], text[colon+1:end]
		}
		all = append(all, Action{
			Name:  strings.ToLower(strings.TrimSpace(name)),
			Value: unquote(strings.TrimSpace(value)),
		})
		start, colon = end+1, -1
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case text[i-1] == '\\':
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == ':' && colon < 0:
			colon = i
		case c == ',':
			flush(i)
		}
	}
	flush(len(text))
	return all
}

// isDisruptive tells the actions of which a rule has one.
func isDisruptive(name string) bool {
	switch name {
	case "allow", "block", "deny", "drop", "pass", "redirect", "proxy":
		return true
	}
	return false
}

// Disruptive is what a match does to the request: "pass", "deny" and others;
// empty when no default says anything.
func (r *Rule) Disruptive() string {
	last := ""
	for _, a := range r.Actions {
		if isDisruptive(a.Name) {
			last = a.Name
		}
	}
	return last
}

// merge gives a rule the defaults of its phase. "block" stands for whatever
// they do.
func (s *Set) merge(own []Action) []Action {
	defaults, ok := s.defaults[phaseOf(own)]
	if !ok && phaseOf(own) == 2 {
		defaults = []Action{{Name: "log"}, {Name: "auditlog"}, {Name: "pass"}}
	}
	var merged []Action
	disruptive := Action{}
	for _, a := range defaults {
		switch {
		case isDisruptive(a.Name):
			disruptive = a
		case a.Name != "phase":
			merged = append(merged, a)
		}
	}
	for _, a := range own {
		switch {
		case !isDisruptive(a.Name):
			merged = append(merged, a)
		case a.Name != "block":
			disruptive = a
		}
	}
	if disruptive.Name != "" {
		merged = append(merged, disruptive)
	}
	return merged
}

func phaseOf(actions []Action) int {
	phase := 2
	for _, a := range actions {
		if a.Name == "phase" {
			phase = parsePhase(a.Value)
		}
	}
	return phase
}

// parsePhase returns 0 for what is no phase.
func parsePhase(text string) int {
	switch text {
	case "request":
		return 2
	case "response":
		return 4
	case "logging":
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 5 {
		return 0
	}
	return n
}

func (s *Set) defaultAction(text string) {
	actions := splitActions(unquote(text))
	s.defaults[phaseOf(actions)] = actions
}

// setActions reads what actions say of the rule itself.
func (r *Rule) setActions(actions []Action) {
	r.Actions = actions
	for _, a := range actions {
		switch a.Name {
		case "id":
			n, err := strconv.Atoi(a.Value)
			if err != nil {
				r.Unknown = "its id"
			}
			r.ID = n
		case "phase":
			if r.Phase = parsePhase(a.Value); r.Phase == 0 {
				r.Unknown = "its phase"
			}
		case "t":
			r.transform(a.Value)
		case "capture":
			r.Capture = true
		case "multimatch":
			r.MultiMatch = true
		case "tag":
			r.Tags = append(r.Tags, a.Value)
		}
	}
}

func (r *Rule) transform(name string) {
	if name = strings.ToLower(name); name == "none" {
		r.Transforms = nil
		return
	}
	r.Transforms = append(r.Transforms, name)
}
