package authz

import (
	"maps"
	"slices"
)

// l7Ports are the ports that rules with fields of HTTP concern.
type l7Ports struct {
	// all tells that they are all but those in except.
	all    bool
	except map[uint16]struct{}
	// named are ports that a rule names, whatever all says.
	named map[uint16]struct{}
}

func (l *l7Ports) has(port uint16) bool {
	if _, ok := l.named[port]; ok {
		return true
	}
	_, excepted := l.except[port]
	return l.all && !excepted
}

// add takes in a rule. A condition about a header makes every group of the rule
// one of HTTP.
func (l *l7Ports) add(r *rule) {
	asks := asksHTTP(r.when)
	if len(r.to) == 0 && asks {
		l.addGroup(nil)
	}
	for _, group := range r.to {
		if asks || asksHTTP(group) {
			l.addGroup(group)
		}
	}
}

// asksHTTP tells whether one of the checks is about HTTP.
func asksHTTP(checks []check) bool {
	return slices.ContainsFunc(checks, func(c check) bool { return c.field.l7() })
}

func (l *l7Ports) addGroup(group []check) {
	var in []uint16
	out := make(map[uint16]struct{})
	for _, c := range group {
		switch {
		case c.field != ports:
		case c.not:
			for _, p := range c.ports {
				out[p] = struct{}{}
			}
		default:
			in = c.ports
		}
	}
	if in == nil {
		l.addAllBut(out)
		return
	}
	for _, p := range in {
		if _, ok := out[p]; !ok {
			if l.named == nil {
				l.named = make(map[uint16]struct{})
			}
			l.named[p] = struct{}{}
		}
	}
}

// addAllBut leaves those ports out that every group without ports leaves out.
func (l *l7Ports) addAllBut(out map[uint16]struct{}) {
	if !l.all {
		l.all, l.except = true, out
		return
	}
	maps.DeleteFunc(l.except, func(p uint16, _ struct{}) bool {
		_, ok := out[p]
		return !ok
	})
}
