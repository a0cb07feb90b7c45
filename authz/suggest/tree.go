package suggest

import (
	"strings"

	"github.com/outrider-mesh/outrider/authz/advice"
)

// anySegment stands for a segment whose value does not matter. A segment cannot hold a
// slash, so it is none.
const anySegment = "/"

// A tree holds the paths of one port, segment by segment.
type tree struct {
	children map[string]*tree
}

func (t *tree) add(path string) {
	for segment := range strings.SplitSeq(path[1:], "/") {
		t = t.child(segment)
	}
}

func (t *tree) child(segment string) *tree {
	if t.children == nil {
		t.children = map[string]*tree{}
	}
	if t.children[segment] == nil {
		t.children[segment] = &tree{}
	}
	return t.children[segment]
}

// generalise makes one of the segments that look like ids, and of all where there
// are more than maxValues; the empty one, after a last slash, stays itself.
func (t *tree) generalise(maxValues int) {
	values := 0
	for segment := range t.children {
		if segment != "" && !identifier(segment) {
			values++
		}
	}
	for segment, sub := range t.children {
		if segment != "" && segment != anySegment && (values > maxValues || identifier(segment)) {
			delete(t.children, segment)
			t.child(anySegment).merge(sub)
		}
	}
	for _, sub := range t.children {
		sub.generalise(maxValues)
	}
}

func (t *tree) merge(other *tree) {
	for segment, sub := range other.children {
		t.child(segment).merge(sub)
	}
}

// pattern is the one that stands for a path that was added.
func (t *tree) pattern(path string) string {
	var b strings.Builder
	for segment := range strings.SplitSeq(path[1:], "/") {
		b.WriteByte('/')
		if sub := t.children[segment]; sub != nil {
			b.WriteString(strings.TrimPrefix(advice.PathPattern("/"+segment), "/"))
			t = sub
			continue
		}
		b.WriteString("{*}")
		t = t.children[anySegment]
	}
	return b.String()
}

// What an id looks like.
const (
	// shortestHex is the length from which hexadecimal digits are no word.
	shortestHex = 12
	// shortestMixed is that from which letters and digits together are none.
	shortestMixed = 20
)

// identifier tells whether a segment is likely to be one of many: a number, a
// UUID, a hash, a token.
func identifier(segment string) bool {
	digits, hex, mixed := 0, 0, 0
	for _, c := range []byte(segment) {
		switch {
		case '0' <= c && c <= '9':
			digits++
			hex++
			mixed++
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '-':
			hex++
			mixed++
		case 'g' <= c && c <= 'z', 'G' <= c && c <= 'Z', c == '_':
			mixed++
		}
	}
	n := len(segment)
	return n > 0 && (digits == n || digits > 0 && (hex == n && n >= shortestHex || mixed == n && n >= shortestMixed))
}
