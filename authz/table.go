package authz

// A table holds the rules of one action in the order in which they are tried,
// and finds those that match without looking at most of the others.
type table struct {
	rules []rule
	// limited is how many of them have a limit.
	limited int
	root    *node // nil without rules
}

// add appends a rule; index must follow.
func (t *table) add(r rule) {
	t.rules = append(t.rules, r)
	if r.limited() {
		t.limited++
	}
}

// index prepares the table for find.
func (t *table) index() {
	if len(t.rules) == 0 {
		return
	}
	all := make([]int32, len(t.rules))
	for i := range all {
		all[i] = int32(i)
	}
	t.root = indexer{t.rules}.node(all, []dimension{byIdentity, byPort, byPath, byMethod})
}

// A wish is which rules are sought.
type wish struct {
	// deny tells how facts count that are not known.
	deny bool
	// limited asks for rules with a limit, and otherwise for those without.
	limited bool
	// after is the position of the last rule found before.
	after int32
}

// none comes before every position.
const none = -1

// find returns the first rule that matches and its position, or nil.
func (t *table) find(f *facts, w wish) (*rule, int32) {
	past := int32(len(t.rules)) //nolint:gosec // documents are bounded far below 2^31 rules
	s := search{wish: w, rules: t.rules, facts: f, best: past}
	s.visit(t.root)
	if s.best == past {
		return nil, past
	}
	return &t.rules[s.best], s.best
}

// A search is one walk through an index.
type search struct {
	wish
	rules []rule
	facts *facts
	best  int32 // the first position that matches so far
	// gather, if it is not nil, takes the rules of a node in place of a match.
	gather *[]int32
}

func (s *search) visit(n *node) {
	switch {
	case n == nil || n.rules[0] >= s.best:
	case s.gather != nil:
		*s.gather = append(*s.gather, n.rules...)
	case n.split == nil:
		s.try(n.rules)
	case s.known(n.split.dim):
		s.descend(n.split)
		s.visit(n.split.rest)
	case s.assumed(n.split.dim):
		s.try(n.rules)
	default: // what asks for the fact does not match
		s.visit(n.split.rest)
	}
}

// try looks for a match that comes before the best one.
func (s *search) try(positions []int32) {
	for _, n := range positions {
		if n >= s.best {
			return
		}
		if r := &s.rules[n]; n > s.after && r.limited() == s.limited && r.matches(s.facts, s.deny) {
			s.best = n
			return
		}
	}
}

// known tells whether the request has the fact that a split is about. That
// there is no identity is a fact.
func (s *search) known(d dimension) bool {
	switch d {
	case byIdentity:
		return true
	case byPort:
		return s.facts.req.Port != 0
	default: // HTTP
	}
	return s.facts.l7 == l7Known
}

// assumed tells how a check counts whose fact is not known, as check.holds does.
func (s *search) assumed(d dimension) bool {
	if d == byPort {
		return s.deny
	}
	return s.deny == (s.facts.l7 == l7Never)
}

// descend visits the children that the request has keys of.
func (s *search) descend(by *split) {
	f := s.facts
	switch by.dim {
	case byIdentity:
		s.child(by, key{kind: keyID, text: f.id})
		s.child(by, key{kind: keyAccount, text: f.path})
		s.child(by, key{kind: keyNamespace, text: f.namespace})
		s.child(by, key{kind: keyDomain, text: f.domain})
		if by.has(keyIDPrefix) && f.id != "" {
			var h hashes
			h.read(f.id[len(scheme):], false)
			s.starts(by, keyIDPrefix, &h)
		}
	case byPort:
		s.child(by, key{kind: keyPort, hash: uint64(f.req.Port)})
	case byPath:
		var h hashes
		h.read(f.req.Path, f.escaped)
		s.child(by, key{kind: keyPath, hash: h.whole})
		s.starts(by, keyPathPrefix, &h)
	default:
		s.child(by, key{kind: keyMethod, text: f.req.Method})
	}
}

func (by *split) has(k kind) bool { return by.kinds>>k&1 == 1 }

func (s *search) child(by *split, k key) {
	if by.has(k.kind) {
		s.visit(by.children[k])
	}
}

func (s *search) starts(by *split, k kind, h *hashes) {
	if !by.has(k) {
		return
	}
	for _, sum := range h.starts[:h.slashes] {
		s.child(by, key{kind: k, hash: sum})
	}
}
