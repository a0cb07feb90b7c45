package bodies_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

type documents func(text string, to *bodies.Sink) (last bool, err error)

func TestLines(t *testing.T) {
	tests := []struct {
		name, text string
		read       documents
		want       []string
		broken     bool
		last       bool
	}{
		{"two lines", "{\"a\":1}\n{\"a\":[2]}\n", bodies.Lines, []string{"json.0.a=1", "json.1.a.0=2"}, false, false},
		{"no end of the last", "1\n2", bodies.Lines, []string{"json.0=1", "json.1=2"}, false, false},
		{"lines that are empty", "\r\n1\r\n\r\n \t\n2", bodies.Lines, []string{"json.0=1", "json.1=2"}, false, false},
		{"nothing", "", bodies.Lines, nil, false, false},
		{"a line that is broken", "{\"a\":1}\n{\"a\":x}\n{\"a\":3}", bodies.Lines, []string{"json.0.a=1", "json.2.a=3"}, true, false},
		{"two documents in a line", "1 2\n3", bodies.Lines, []string{"json.0=1", "json.1=3"}, true, false},
		{"a document over two lines", "{\"a\":\n1}\n", bodies.Lines, []string{"json.1=1"}, true, false},
		{"the last is cut off", "1\n{\"a\":\"b", bodies.Lines, []string{"json.0=1", "json.1.a=b"}, true, true},
		{"the last is broken, and ends", "1\n{\"a\":\"b\n", bodies.Lines, []string{"json.0=1", "json.1.a=b"}, true, false},
		{"one is broken, and the last", "x\n{\"a\":\"b", bodies.Lines, []string{"json.1.a=b"}, true, false},
		{"too deep", strings.Repeat("[", 200), bodies.Lines, nil, true, true},
		{"a sequence", "\x1e{\"a\":\n1}\n\x1e[2]\n", bodies.Sequence, []string{"json.0.a=1", "json.1.0=2"}, false, false},
		{"a sequence that has none", "{\"a\":1}", bodies.Sequence, nil, true, false},
		{"a sequence of nothing", "\n", bodies.Sequence, nil, false, true},
		{"a sequence that is cut off", "\x1e1\n\x1e[2", bodies.Sequence, []string{"json.0=1", "json.1.0=2"}, true, true},
	}
	if len(tests) < 15 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to, got := collect(100)
			last, err := tt.read(tt.text, to)
			if diff := cmp.Diff(tt.want, *got); diff != "" || (err != nil) != tt.broken || last != tt.last {
				t.Errorf("last %t, error %v, -want +got:\n%s", last, err, diff)
			}
		})
	}
}

func TestLinesAreBounded(t *testing.T) {
	to, got := collect(3)
	if _, err := bodies.Lines("[1,2]\n[3,4]\nx", to); err != nil || !to.Full || len(*got) != 3 {
		t.Errorf("%v, full %t, error %v", *got, to.Full, err)
	}
}

// FuzzLines holds that no error means that each line is a document, all values of which
// are found, and that a body does not hide what stands in its other lines.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"{\"a\":1}\n\n[2,\"x\"]", "1\n{", "\r\n\"\\u003c\"\r\n", "[[[", "\"a\\nb\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{") > 100 {
			return // depth is bounded
		}
		to, got := collect(1 << 20)
		_, err := bodies.Lines(text, to)
		valid, values := true, 0
		for line := range strings.SplitSeq(text, "\n") {
			var v any
			switch {
			case strings.Trim(line, " \t\r") == "":
			case json.Unmarshal([]byte(line), &v) == nil:
				countLeaves(v, &values)
			default:
				valid = json.Valid([]byte(line)) && valid // a number that no float holds
			}
		}
		if valid != (err == nil) {
			t.Errorf("error %v of %q", err, text)
		}
		if len(*got) < values {
			t.Errorf("%d values of %d in %q", len(*got), values, text)
		}
	})
}
