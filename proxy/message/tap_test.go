package message_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/message"
)

func TestATapCopiesEachByteOnce(t *testing.T) {
	type piece struct {
		at   int64
		text string
	}
	cases := []struct {
		name   string
		most   int64
		pieces []piece
		want   string
	}{
		{"nothing passes", 8, nil, ""},
		{"less than is wanted", 8, []piece{{0, "ab"}, {2, "cd"}}, "abcd"},
		{"just as much", 4, []piece{{0, "ab"}, {2, "cd"}}, "abcd"},
		{"more, in one piece", 3, []piece{{0, "abcd"}}, "abc"},
		{"more, in several", 3, []piece{{0, "ab"}, {2, "cd"}, {4, "ef"}}, "abc"},
		{"it is sent again", 8, []piece{{0, "ab"}, {2, "cd"}, {0, "ab"}, {2, "cd"}}, "abcd"},
		{"it is sent again in other pieces", 8, []piece{{0, "abc"}, {0, "a"}, {1, "bcdef"}}, "abcdef"},
		{"a byte was missed", 8, []piece{{0, "ab"}, {3, "d"}}, "ab"},
		{"nothing is wanted", 0, []piece{{0, "ab"}}, ""},
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		for _, length := range []int64{-1, 0, 6, 1 << 40} {
			var tap message.Tap
			tap.Open(c.most, length)
			for _, p := range c.pieces {
				tap.See(p.at, []byte(p.text))
			}
			if got := string(tap.Seen()); got != c.want {
				t.Errorf("%s, length %d: %q, want %q", c.name, length, got, c.want)
			}
		}
	}
}

// What passes is overwritten by what passes next.
func TestATapKeepsACopy(t *testing.T) {
	var tap message.Tap
	tap.Open(8, 4)
	p := []byte("abcd")
	tap.See(0, p)
	copy(p, "xxxx")
	if got := string(tap.Seen()); got != "abcd" {
		t.Errorf("%q", got)
	}
}

// A closed tap is in the way of every body, and an open one allocates once where
// the length is known.
func TestATapThatIsClosedCostsNothing(t *testing.T) {
	p := []byte(strings.Repeat("x", 100))
	for _, c := range []struct{ most, allocs int64 }{{0, 0}, {1000, 1}} {
		if n := testing.AllocsPerRun(100, func() {
			var tap message.Tap
			if c.most > 0 {
				tap.Open(c.most, 200)
			}
			tap.See(0, p)
			tap.See(100, p)
		}); n != float64(c.allocs) {
			t.Errorf("%d bytes wanted: %v allocations", c.most, n)
		}
	}
}
