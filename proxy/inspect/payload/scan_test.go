package payload_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/decode"
)

// clean are values as services send them.
var clean = []string{
	"42", "true", "eur", "checkout/1.2", "2026-11-02T10:00:00Z", "ord_1N8sX2eZvKYlo2C", "b7a1c9e0-3a5b-4c6d-8e7f-0123456789ab",
	"application/json", "*/*", "https://api.example.com/v1/orders/42", "Ann Lee", "the quick brown fox jumps over the lazy dog",
	"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "/v1/charges/ch_42/refunds", "12.50 EUR", "a,b,c",
	"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Düsseldorf", "name@example.com", "v1.2.3-rc.1+build.5",
}

func TestCleanValuesDoNotAllocate(t *testing.T) {
	var s payload.Scanner
	for _, value := range clean {
		s.Scan(value, payload.Member) // its buffers
		if n := testing.AllocsPerRun(100, func() { s.Scan(value, payload.Member) }); n != 0 {
			t.Errorf("%q: %v allocations", value, n)
		}
		if found := s.Scan(value, payload.Member); len(found) > 0 {
			t.Errorf("%q: %s", value, names(found))
		}
	}
	if len(clean) < 20 {
		t.Errorf("only %d values", len(clean))
	}
}

func TestBinaryIsLookedAtForObjectsOnly(t *testing.T) {
	var s payload.Scanner
	binary := "\x00\x01\x02\x03\x04\x05' or 1=1--\x06\x07\x08\x0e\x0f"
	if found := s.Scan(binary, payload.Member); len(found) > 0 {
		t.Errorf("%s", names(found))
	}
	if found := s.Scan("\xac\xed\x00\x05sr\x00\x01\x02\x03\x04\x05", payload.Member); !slices.ContainsFunc(found, func(c clue.Clue) bool { return c.Kind == clue.JavaObject }) {
		t.Errorf("%s", names(found))
	}
}

// hostile are parts that do harm by being repeated.
var hostile = []string{
	"<a ", "<a x=\"", "{{", "${", ";id", "`id`", "(", "top[", "'", "union select ", "://", "%25", "&amp;", "\\x5c", "a'+'", "../", ")(",
	"\r\n", "O:1:", "|", "alert(", "--", "/*", "<!doctype ", "{{{}}", "exec(", "\\", "+AD", "${lower:", "AAAA", "$(cat ", "javascript:",
	"a:b", "(select ", "or 1=1 ", "chr(", "|bash", "`", "{{{{{{{{{{{{{{{{a}}", "\ncat /x", "window[", "document.cookie;", "\"'", "<!entity ",
	"`/[", "(/*", "/e?c ", "$a[", "http://[", "\n;cat ", "'\";curl http://", "{,id", "/etc$u", "0x2e",
}

// What is repeated without end must not be looked at again and again.
func TestHostileValuesAreBounded(t *testing.T) {
	const size = 16 << 10
	for _, part := range hostile {
		var s payload.Scanner
		s.Scan(strings.Repeat(part, size/len(part)), payload.Member)
		if s.Work() > (decode.MaxForms+1)*size {
			t.Errorf("%q: %d bytes of work", part, s.Work())
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, a := range attacks(f) {
		f.Add(a.text, uint8(payload.Argument))
	}
	for _, value := range clean {
		f.Add(value, uint8(payload.Member))
	}
	f.Fuzz(func(t *testing.T, value string, where uint8) {
		var s payload.Scanner
		w := payload.Where(where % uint8(payload.Markup+1))
		found := slices.Clone(s.Scan(value, w))
		for _, c := range found {
			form := s.Form(c)
			if c.At < 0 || c.Len < 0 || c.At+c.Len > len(form) {
				t.Errorf("%s at %d, %d bytes, in a form of %d bytes", c.Kind.Name(), c.At, c.Len, len(form))
			}
			if c.Form == 0 && form != value || c.Form > 0 && s.Path(c) == "" {
				t.Errorf("form %d is %q by %q", c.Form, form, s.Path(c))
			}
		}
		if most := (decode.MaxForms + 1) * len(value); s.Work() > most {
			t.Errorf("%d bytes of work, more than %d", s.Work(), most)
		}
		if again := s.Scan(value, w); !slices.Equal(found, again) {
			t.Errorf("%v, and then %v", found, again)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	for _, c := range []struct{ name, value string }{
		{"id", clean[6]},
		{"url", clean[9]},
		{"prose", clean[11]},
		{"agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36"},
		{"text4KB", strings.Repeat("It's late; we select a place, or order in. ", 95)},
		{"attack", "1' union select user,password from users-- -"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var s payload.Scanner
			b.SetBytes(int64(len(c.value)))
			b.ReportAllocs()
			for b.Loop() {
				s.Scan(c.value, payload.Member)
			}
		})
	}
}

// BenchmarkHostile is what 16 KiB cost that are made to cost much.
func BenchmarkHostile(b *testing.B) {
	for _, part := range hostile {
		b.Run(fmt.Sprintf("%.8q", part), func(b *testing.B) {
			var s payload.Scanner
			value := strings.Repeat(part, (16<<10)/len(part))
			for b.Loop() {
				s.Scan(value, payload.Argument)
			}
		})
	}
}
