package pattern

import (
	"encoding/binary"
	"regexp/syntax"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// A Matcher tells whether an expression matches anywhere in a value, with states that
// are made when a value first needs them (a lazy DFA). It gives the same answers as
// package regexp at a tenth of the time and more. It is safe for concurrent use.
type Matcher struct {
	prog    *syntax.Prog
	classes *runeClasses
	budget  *Budget
	// quiet are the bytes that begin no match: see idle.
	quiet Set

	cache atomic.Pointer[stateCache]
	// mu guards the making of states, and the map of them.
	mu sync.Mutex
}

// maxNewStates is how many states one value may make: one that needs more makes them
// faster than it uses them, as in RE2.
const maxNewStates = 500

// kinds of the character before a state.
const (
	atBegin = iota
	afterLine
	afterWord
	afterOther
)

// A state is a set of instructions that the next character is put to, and what came
// before it. next is written once per entry.
type state struct {
	cores []uint32
	kind  uint8
	// next is by class; the last is for the end. What matches has gone to accept.
	next []atomic.Pointer[state]
}

// A stateCache holds states; accept is where a match leads. The idle ones, by kind, are
// those in which nothing has begun, where most of most values is read.
type stateCache struct {
	start, accept *state
	idle          [afterOther + 1]*state
	states        map[string]*state
}

// NewMatcher returns nil for an expression that has too many classes of characters.
func NewMatcher(re *syntax.Regexp, budget *Budget) *Matcher {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	classes, ok := newRuneClasses(prog)
	if !ok {
		return nil
	}
	m := &Matcher{prog: prog, classes: classes, budget: budget, quiet: quietBytes(prog)}
	m.reset()
	budget.add(m)
	return m
}

// reset forgets all states. Who is using them goes on, and makes no more of them.
func (m *Matcher) reset() { m.cache.Store(m.newCache()) }

func (m *Matcher) newCache() *stateCache {
	c := &stateCache{accept: &state{}, states: map[string]*state{}}
	for kind := range c.idle {
		s := m.newState(nil, uint8(kind))
		c.idle[kind], c.states[stateKey(nil, s.kind)] = s, s
	}
	c.start = c.idle[atBegin]
	return c
}

func (m *Matcher) newState(cores []uint32, kind uint8) *state {
	return &state{cores: cores, kind: kind, next: make([]atomic.Pointer[state], len(m.classes.sample)+1)}
}

// Match tells whether the expression matches in a value. ok is false when it would
// take too many states to tell.
func (m *Matcher) Match(value []byte) (matches, ok bool) {
	cache := m.cache.Load()
	at, made := cache.start, 0
	for i := 0; i < len(value); {
		if len(at.cores) == 0 && m.quiet[value[i]] {
			i = m.skip(value, i)
			at = cache.idle[kindOf(rune(value[i-1]))]
			continue
		}
		r, size := rune(value[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(value[i:])
		}
		i += size
		c := int(m.classes.of(r))
		next := at.next[c].Load()
		if next == nil {
			if made++; made > maxNewStates {
				return false, false
			}
			if next = m.step(cache, at, c); next == nil {
				return false, false
			}
		}
		if next == cache.accept {
			return true, true
		}
		at = next
	}
	end := len(m.classes.sample)
	next := at.next[end].Load()
	if next == nil {
		if next = m.step(cache, at, end); next == nil {
			return false, false
		}
	}
	return next == cache.accept, true
}

// step makes the state that a class leads to; nil when there is no room.
func (m *Matcher) step(cache *stateCache, from *state, class int) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next := from.next[class].Load(); next != nil || m.cache.Load() != cache {
		return next
	}
	next := m.compute(cache, from, class)
	if next != nil {
		from.next[class].Store(next)
	}
	return next
}

// compute follows all instructions of a state. The end has no character and leads
// to accept or back to the state itself.
func (m *Matcher) compute(cache *stateCache, from *state, class int) *state {
	end := class == len(m.classes.sample)
	r := rune(-1)
	if !end {
		r = m.classes.sample[class]
	}
	w := walk{prog: m.prog, flags: syntax.EmptyOpContext(before(from.kind), r), seen: make(map[uint32]bool, 2*len(from.cores))}
	w.visit(uint32(m.prog.Start)) //nolint:gosec // G115: an index of the program
	for _, pc := range from.cores {
		w.visit(pc)
	}
	switch {
	case w.matched:
		return cache.accept
	case end:
		return from
	}
	return m.intern(cache, w.take(r), kindOf(r))
}

// before is a character that stands for what came before.
func before(kind uint8) rune {
	switch kind {
	case atBegin:
		return -1
	case afterLine:
		return '\n'
	case afterWord:
		return 'a'
	}
	return ' '
}

func kindOf(r rune) uint8 {
	switch {
	case r == '\n':
		return afterLine
	case syntax.IsWordChar(r):
		return afterWord
	}
	return afterOther
}

// intern returns the state of these instructions; nil when there is no room.
func (m *Matcher) intern(cache *stateCache, cores []uint32, kind uint8) *state {
	key := stateKey(cores, kind)
	if s, ok := cache.states[key]; ok {
		return s
	}
	cost := int64(len(key)+4*len(cores)+8*len(m.classes.sample)) + 160
	if !m.budget.take(cost) {
		return nil
	}
	s := m.newState(cores, kind)
	cache.states[key] = s
	return s
}

func stateKey(cores []uint32, kind uint8) string {
	key := make([]byte, 0, 4*len(cores)+1)
	for _, pc := range cores {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	return string(append(key, kind))
}
