package authz

// A table holds the rules of one action in the order in which they are tried,
// and finds those that may concern a caller without looking at the others.
type table struct {
	rules []rule
	// byPrincipal holds, by SPIFFE ID, the rules that match exact principals
	// only; scan those that have to be tried for everyone. Both are positions
	// in rules, ascending.
	byPrincipal map[string][]int
	scan        []int
}

func (t *table) add(r rule) {
	n := len(t.rules)
	t.rules = append(t.rules, r)
	ids := indexable(&r)
	if ids == nil {
		t.scan = append(t.scan, n)
		return
	}
	if t.byPrincipal == nil {
		t.byPrincipal = make(map[string][]int)
	}
	for _, id := range ids {
		if list := t.byPrincipal[id]; len(list) == 0 || list[len(list)-1] != n {
			t.byPrincipal[id] = append(list, n)
		}
	}
}

// indexable returns the principals outside of whom the rule cannot match, and
// nil when that is no list of exact ones.
func indexable(r *rule) (ids []string) {
	for _, group := range r.from {
		// Where a group has principals at all, they are its first check.
		first := &group[0]
		if first.field != principals || first.not || first.values.globs > 0 {
			return nil
		}
		for _, p := range first.values.list {
			ids = append(ids, p.text)
		}
	}
	return ids
}

// find returns the first rule that matches, or nil.
func (t *table) find(f *facts, deny bool) *rule {
	own, rest := t.byPrincipal[f.id], t.scan
	for len(own)+len(rest) > 0 {
		var n int
		if len(rest) == 0 || len(own) > 0 && own[0] < rest[0] {
			n, own = own[0], own[1:]
		} else {
			n, rest = rest[0], rest[1:]
		}
		if r := &t.rules[n]; r.matches(f, deny) {
			return r
		}
	}
	return nil
}
