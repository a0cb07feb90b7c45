package gate

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// A rule is a chain of links, made ready.
type rule struct {
	id    int
	phase int
	// place is its number in the order of evaluation.
	place int
	links []*link
	// counts tells that a full match means the request is not clean.
	counts bool
	// strangers are patterns on variables of other rules, which must not pick what
	// this one sets by itself.
	strangers []selector
	// captures tells that somebody reads what the expressions capture.
	captures bool
}

// A link is one comparison and what follows from it at once.
type link struct {
	targets []target
	chain   decode.Chain
	// steps are the transformations one by one, where the operator runs before and
	// after each, and stages all beginnings of the chain.
	steps, stages []decode.Chain
	operator      *operator // nil for a SecAction
	effects       []effect
	// counts tells that already this link's match means the request is not clean.
	counts bool
	// capture tells that the expression's groups go to TX.
	capture bool
	// opaque tells that the link is not understood, so that it may match anything.
	opaque bool
}

// An effect is something that a match changes; one of its fields is set.
type effect struct {
	set       *assign
	processor string
	force     bool
	remove    pattern.Bits // rules, by place
	// exempt takes targets out of rules.
	exempt *exemption
}

// assign sets a variable of TX.
type assign struct{ name, value text }

// An exemption takes a key of a variable out of rules; an empty key all of it.
type exemption struct {
	rules    pattern.Bits
	variable string
	key      selector
}

// newLink compiles a link without its effects.
func (c *compiler) newLink(r *seclang.Rule) (*link, error) {
	l := &link{capture: r.Capture}
	if r.Unknown != "" {
		return nil, fmt.Errorf("%s is not understood", r.Unknown)
	}
	if len(r.Targets) == 0 {
		return l, nil
	}
	for _, t := range r.Targets {
		compiled, err := newTarget(t)
		if err != nil {
			return nil, err
		}
		l.targets = append(l.targets, compiled)
	}
	var err error
	if l.chain, err = decode.New(r.Transforms); err != nil {
		return nil, err
	}
	if r.MultiMatch {
		for n := range len(r.Transforms) + 1 {
			stage, err := decode.New(r.Transforms[:n])
			if err != nil {
				return nil, err
			}
			l.stages = append(l.stages, stage)
		}
		for _, name := range r.Transforms {
			step, err := decode.New([]string{name})
			if err != nil {
				return nil, err
			}
			l.steps = append(l.steps, step)
		}
	}
	l.operator, err = c.newOperator(r.Operator)
	return l, err
}

// test compares a raw value. What the expression captures goes to the environment
// if there is one and the rule wants it.
func (l *link) test(raw []byte, env *environment, buf *decode.Buffer, captures bool) answer {
	if l.stages != nil {
		return l.testStages(raw, env, buf)
	}
	v := l.chain.Apply(raw, buf)
	if captures && l.capture {
		return l.capturing(v, env)
	}
	return l.operator.match(v, env)
}

// testStages compares after each transformation that has changed something. The engine
// goes on from the value before when one has changed it but not its length, which only
// entities can do; that is not told apart here.
func (l *link) testStages(raw []byte, env *environment, buf *decode.Buffer) answer {
	result := l.operator.match(raw, env)
	v := raw
	for _, step := range l.steps {
		after := step.Apply(v, buf)
		if bytes.Equal(after, v) {
			continue
		}
		if len(after) == len(v) && step.Names()[0] == "htmlentitydecode" {
			return maybe
		}
		v = after
		result = max(result, l.operator.match(v, env))
	}
	return result
}

// capturing compares with an expression and keeps its groups.
func (l *link) capturing(v []byte, env *environment) answer {
	e := l.operator.expression
	if e == nil || l.operator.negated {
		a := l.operator.match(v, env)
		for n := range 10 {
			env.put(captured(n), value{unknown: true})
		}
		return a
	}
	re := e.compile()
	if re == nil || e.binary && !isASCII(v) {
		return maybe
	}
	groups := re.FindSubmatchIndex(v)
	for n := 0; n < len(groups)/2 && n < 9; n++ {
		var s string
		if groups[2*n] >= 0 {
			s = string(v[groups[2*n]:groups[2*n+1]])
		}
		env.put(captured(n), value{text: s})
	}
	return answerOf(groups != nil)
}

// apply sets a variable. What depends on a match that is not certain is not known.
func (a *assign) apply(env *environment, matched answer) {
	name, ok := a.name.expand(env)
	if !ok {
		return // nobody reads it: the rule would not have been kept
	}
	v, ok := a.value.expand(env)
	name = strings.ToLower(name)
	if ok && v != "" && (v[0] == '+' || v[0] == '-') {
		v, ok = sum(env, name, v)
	}
	env.put(name, value{text: v, unknown: !ok || matched == maybe})
}

// sum adds to a variable; what is no number counts as none, as for the engine.
func sum(env *environment, name, delta string) (text string, known bool) {
	n, err := strconv.Atoi(delta[1:])
	v, _ := env.get(name)
	if err != nil || v.unknown {
		return "", false
	}
	if delta[0] == '-' {
		n = -n
	}
	return strconv.Itoa(number(v.text) + n), true
}
