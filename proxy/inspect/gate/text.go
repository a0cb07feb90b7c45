package gate

import (
	"strings"
)

// A text is an argument of a rule in which %{...} stands for variables.
type text struct{ pieces []piece }

// A piece is fixed, or a variable of TX, or something that is not known.
type piece struct {
	fixed   string
	tx      string // a name in lower case; empty for none
	unknown bool
}

// parseText cuts a text into pieces.
func parseText(s string) text {
	var t text
	for {
		before, rest, found := strings.Cut(s, "%{")
		if before != "" {
			t.pieces = append(t.pieces, piece{fixed: before})
		}
		if !found {
			return t
		}
		name, after, closed := strings.Cut(rest, "}")
		p := piece{unknown: true}
		if variable, key, ok := strings.Cut(name, "."); ok && closed && strings.EqualFold(variable, "tx") {
			p = piece{tx: strings.ToLower(key), fixed: name}
		}
		t.pieces = append(t.pieces, p)
		s = after
	}
}

// settle replaces variables whose value never changes. What does not exist stands
// for its own name.
func (t text) settle(vars *variables) text {
	var out text
	for _, p := range t.pieces {
		if p.tx != "" && !vars.changes(p.tx) {
			if value, ok := vars.fixed[p.tx]; ok {
				p.fixed = value
			}
			p.tx = ""
		}
		if n := len(out.pieces); n > 0 && p.literal() && out.pieces[n-1].literal() {
			out.pieces[n-1].fixed += p.fixed
			continue
		}
		out.pieces = append(out.pieces, p)
	}
	return out
}

func (p piece) literal() bool { return p.tx == "" && !p.unknown }

// constant returns the text if it has no variables.
func (t text) constant() (string, bool) {
	switch {
	case len(t.pieces) == 0:
		return "", true
	case len(t.pieces) == 1 && t.pieces[0].literal():
		return t.pieces[0].fixed, true
	}
	return "", false
}

// expand fills the variables in; ok is false when one is not known.
func (t text) expand(env *environment) (s string, ok bool) {
	if s, ok = t.constant(); ok {
		return s, true
	}
	var b strings.Builder
	for _, p := range t.pieces {
		switch {
		case p.unknown:
			return "", false
		case p.tx == "":
			b.WriteString(p.fixed)
		default:
			v, exists := env.get(p.tx)
			if v.unknown {
				return "", false
			}
			if !exists {
				v.text = p.fixed
			}
			b.WriteString(v.text)
		}
	}
	return b.String(), true
}
