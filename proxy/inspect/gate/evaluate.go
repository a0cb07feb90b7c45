package gate

import (
	"strconv"
	"strings"
)

// run evaluates a rule as the engine would and tells whether the request may still
// be clean.
func (e *evaluation) run(r *rule, env *environment) (clean bool) {
	if r.captures {
		for n := range 10 {
			env.put(captured(n), value{unknown: true})
		}
	}
	for _, l := range r.links {
		switch e.link(r, l, env) {
		case no:
			return true
		case maybe:
			if !r.counts && len(l.effects) > 0 {
				return false // whether they come about is not known
			}
		case yes:
		}
		if l.counts && !e.removed.Has(r.place) {
			return false
		}
	}
	return !r.counts || e.removed.Has(r.place)
}

// link evaluates one link over all of its values. What follows from a match comes
// about for each.
func (e *evaluation) link(r *rule, l *link, env *environment) answer {
	switch {
	case l.opaque:
		e.apply(l, env, maybe)
		return maybe
	case l.operator == nil:
		e.apply(l, env, yes)
		return yes
	}
	result := no
	for i := range l.targets {
		result = max(result, e.target(r, l, &l.targets[i], env))
	}
	return result
}

// target evaluates a link over the values of one target.
func (e *evaluation) target(r *rule, l *link, t *target, env *environment) answer {
	switch {
	case t.tx:
		return e.variables(r, l, t, env)
	case t.fixed != nil:
		return e.test(r, l, *t.fixed, env)
	case t.count:
		n, ok := e.count(t)
		if !ok {
			return maybe
		}
		return e.test(r, l, strconv.Itoa(n), env)
	}
	result := no
	for _, p := range t.parts {
		switch {
		case p == header || p == headerName:
			result = max(result, e.fields(r, l, t, p, env))
		case p == partHeader:
			result = max(result, e.partHeaders(r, l, t, env))
		case p.ofBody() && e.view.values[p] == 0:
		case p.keyed():
			return maybe
		default:
			result = max(result, e.test(r, l, e.view.value(p), env))
		}
	}
	return result
}

// test compares one value and applies what follows.
func (e *evaluation) test(r *rule, l *link, v string, env *environment) answer {
	e.raw = append(e.raw[:0], v...)
	a := l.test(e.raw, env, &e.buf, r.captures)
	if a != no {
		e.apply(l, env, a)
	}
	return a
}

// fields compares the header fields, or their names.
func (e *evaluation) fields(r *rule, l *link, t *target, p part, env *environment) answer {
	result := no
	for i, f := range e.view.fields {
		if e.view.only >= 0 && e.view.only != i || !t.picks(f.name) {
			continue
		}
		v := f.value
		if p == headerName {
			v = f.name
		}
		result = max(result, e.test(r, l, v, env))
	}
	return result
}

// partHeaders compares the header fields of a form's parts.
func (e *evaluation) partHeaders(r *rule, l *link, t *target, env *environment) answer {
	result := no
	for _, f := range e.view.parts {
		if t.picks(f.name) {
			result = max(result, e.test(r, l, f.value, env))
		}
	}
	return result
}

// count counts header fields, and values that only some bodies have where no key
// matters. Nothing else is counted here.
func (e *evaluation) count(t *target) (n int, ok bool) {
	for _, p := range t.parts {
		switch {
		case p == header || p == headerName:
			n += countPicked(e.view.fields, t)
		case p == partHeader:
			n += countPicked(e.view.parts, t)
		case p.ofBody() && (t.takesAll() || e.view.values[p] == 0):
			n += e.view.values[p]
		default:
			return 0, false
		}
	}
	return n, true
}

func countPicked(fields []field, t *target) (n int) {
	for _, f := range fields {
		if t.picks(f.name) {
			n++
		}
	}
	return n
}

// variables compares values of TX.
func (e *evaluation) variables(r *rule, l *link, t *target, env *environment) answer {
	e.names = e.names[:0]
	if t.key.text != "" {
		e.names = append(e.names, t.key.text)
	} else if !e.pickNames(t, env) {
		return maybe
	}
	result, n := no, 0
	for _, name := range e.names {
		v, exists := env.get(name)
		switch {
		case !exists:
			continue
		case v.unknown:
			result = maybe
		case !t.count:
			result = max(result, e.test(r, l, v.text, env))
		}
		n++
	}
	if t.count && result == no {
		return e.test(r, l, strconv.Itoa(n), env)
	}
	return result
}

// pickNames lists the variables that a pattern picks. It says no where one is among
// them whose value did not change with this request: which it had at this rule is not
// kept.
func (e *evaluation) pickNames(t *target, env *environment) (known bool) {
	for name := range env.fixed {
		if t.picks(name) {
			return false
		}
	}
	for _, a := range env.set {
		if t.picks(a.name) {
			e.names = append(e.names, a.name)
		}
	}
	return true
}

// apply brings about what follows from a match.
func (e *evaluation) apply(l *link, env *environment, a answer) {
	for i := range l.effects {
		switch f := &l.effects[i]; {
		case f.set != nil:
			f.set.apply(env, a)
		case f.processor != "":
			e.view.single[processor] = f.processor
		case f.force:
			e.view.force = true
		case f.remove != nil:
			e.removed.Or(f.remove)
		case f.exempt != nil:
			e.exempt = append(e.exempt, f.exempt)
		}
	}
}

// exempted tells whether a rule does not look at a key in this request.
func (e *evaluation) exempted(r *rule, t *target, key string) bool {
	for _, x := range e.exempt {
		if x.variable == t.variable && x.rules.Has(r.place) && x.key.picks(strings.ToLower(key)) {
			return true
		}
	}
	return false
}
