package bodies

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// walked are the values of a message as "name=value".
func walked(b string, limit int) (args []string, full bool) {
	to := Sink{Left: limit, Add: func(name []byte, value string) bool {
		args = append(args, string(name)+"="+value)
		return true
	}}
	w := protobuf{Sink: &to, name: []byte("body")}
	w.message(b, 0)
	return args, to.Full
}

func stringField(n protowire.Number, s string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s))
}

func TestTextsOfMessages(t *testing.T) {
	number := string(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1<<40))
	fixed := string(protowire.AppendFixed64(protowire.AppendTag(nil, 3, protowire.Fixed64Type), 7)) +
		string(protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), 7))
	group := string(protowire.AppendTag(nil, 5, protowire.StartGroupType)) + stringField(6, "in a group") +
		string(protowire.AppendTag(nil, 5, protowire.EndGroupType))
	deep := stringField(1, "at the bottom")
	for range 3 {
		deep = stringField(2, deep)
	}
	tooDeep := stringField(1, "at the bottom")
	for range maxMessageDepth + 3 {
		tooDeep = stringField(2, tooDeep)
	}
	cases := []struct {
		name, message string
		want          []string
	}{
		{"an empty message", "", nil},
		{"numbers have no text", number + fixed, nil},
		{"a short string", stringField(1, "a"), []string{"body.1=a"}},
		{"an empty string", stringField(1, ""), nil},
		{"between numbers", number + stringField(7, "x=1") + fixed, []string{"body.7=x=1"}},
		{"a large field number", stringField(1<<29-1, "abc"), []string{"body.536870911=abc"}},
		{"repeated", stringField(1, "one") + stringField(1, "two"), []string{"body.1=one", "body.1=two"}},
		{"in a message", stringField(3, stringField(4, "inner")), []string{"body.3.4=inner"}},
		{"in messages of messages", deep, []string{"body.2.2.2=\n\rat the bottom", "body.2.2.2.1=at the bottom"}},
		{"in a group", group, []string{"body.6=in a group"}},
		{"with line breaks", stringField(1, "a\r\n\tb"), []string{"body.1=a\r\n\tb"}},
		{"with other white space", stringField(1, "a\v\fb"), []string{"body.1=a\v\fb"}},
		{"not UTF-8", stringField(1, "\xff\xfe a run of text \xff"), []string{"body.1= a run of text "}},
		{"bytes with short runs only", stringField(1, "\xffabc\xff"), nil},
		{"a length in more bytes than it needs", "\x0a\x83\x80\x00abc", []string{"body.1=abc"}},
		{"a tag in more bytes than it needs", "\x8a\x00\x03abc", []string{"body.1=abc"}},
		// "\x0a\x01a" is a text with a line feed and a message: 0x01 is no
		// text, so only a message; "\n" + "\t" + nine characters is both.
		{"what is text and a message is both", stringField(1, "\n\tninebytes"), []string{"body.1=\n\tninebytes", "body.1.1=ninebytes"}},
		{"what no message can have is bytes", stringField(1, "text") + "\x07 and the rest of it", []string{"body.1=text", "body= and the rest of it"}},
		{"field number nought", "\x02\x01ninebytes", []string{"body=ninebytes"}},
		{"longer than the message", "\x0a\x7fcut off here", []string{"body=cut off here"}},
		{"a number without an end", "\x08\xff\xff", nil},
	}
	if len(cases) < 21 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got, full := walked(c.message, 100)
		if diff := cmp.Diff(c.want, got); diff != "" || full {
			t.Errorf("%s: full %t: %s", c.name, full, diff)
		}
	}
	got, _ := walked(tooDeep, 100)
	if len(got) != 1 || !strings.HasSuffix(got[0], "at the bottom") {
		t.Errorf("deeper than messages are read: %q", got)
	}
}

func TestTheNumberOfTextsIsBounded(t *testing.T) {
	three := stringField(1, "a") + stringField(2, "b") + stringField(3, "c")
	if got, full := walked(three, 3); len(got) != 3 || full {
		t.Errorf("%q, full %t", got, full)
	}
	if got, full := walked(three, 2); len(got) != 2 || !full {
		t.Errorf("%q, full %t", got, full)
	}
	runs := "\x07" + strings.Repeat("long enough\x00", 5)
	if got, full := walked(runs, 4); len(got) != 4 || !full {
		t.Errorf("%q, full %t", got, full)
	}
}

// randomMessage is a message of random shape, and the texts that were put into it.
func randomMessage(r *rand.Rand, depth int) (b []byte, texts []string) {
	for range 1 + r.IntN(5) {
		n := protowire.Number(1 + r.IntN(40))
		switch kind := r.IntN(5); {
		case kind == 0:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), r.Uint64())
		case kind == 1:
			b = protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), r.Uint32())
		case kind == 2 && depth < 6:
			inner, more := randomMessage(r, depth+1)
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), inner)
			texts = append(texts, more...)
		default:
			text := make([]byte, 1+r.IntN(30))
			for i := range text {
				text[i] = byte(' ' + r.IntN(95))
			}
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), text)
			texts = append(texts, string(text))
		}
	}
	return b, texts
}

// Every string of a message that a real encoder wrote is an argument by itself, and
// no byte of its surroundings with it.
func TestEveryStringIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 5000 {
		message, texts := randomMessage(r, 0)
		got, _ := walked(string(message), 1<<20)
		for _, text := range texts {
			found++
			if !slices.ContainsFunc(got, func(arg string) bool { return arg[strings.IndexByte(arg, '=')+1:] == text }) {
				t.Fatalf("%q of %q is not in %q", text, message, got)
			}
		}
	}
	if found < 10_000 {
		t.Errorf("looked for only %d strings", found)
	}
}

// parsable tells whether protobuf's own parser reads b as fields.
func parsable(b []byte) bool {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// FuzzProtobuf: no text of some length escapes, whatever the bytes are, and the
// work is bounded by their number.
func FuzzProtobuf(f *testing.F) {
	f.Add(stringField(1, "hello, world"))
	f.Add(stringField(2, stringField(2, stringField(1, "inner text"))))
	f.Add("\x0a\x7fcut off here\x00\x01")
	f.Fuzz(func(t *testing.T, body string) {
		got, full := walked(body, 1<<20)
		if full {
			t.Fatal("more arguments than bytes")
		}
		if parsable([]byte(body)) && !isMessage(body) {
			t.Errorf("%q: a real parser takes it for a message, we don't", body)
		}
		bytes := 0
		for _, arg := range got {
			_, value, _ := strings.Cut(arg, "=")
			bytes += len(value)
			if !strings.Contains(body, value) {
				t.Errorf("%q is not in %q", value, body)
			}
		}
		if most := (maxMessageDepth + 2) * len(body); bytes > most {
			t.Errorf("%d bytes of arguments from %d", bytes, len(body))
		}
	})
}
