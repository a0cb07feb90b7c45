package report

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFigures(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	cases := []struct{ got, want string }{
		{micros(0), "0 µs"},
		{micros(0.001), "0 µs"},
		{micros(-0.001), "0 µs"},
		{micros(0.04), "0.04 µs"},
		{micros(4.216), "4.22 µs"},
		{micros(9.996), "10.0 µs"},
		{micros(42.04), "42.0 µs"},
		{micros(99.96), "100 µs"},
		{micros(999.4), "999 µs"},
		{micros(999.6), "1.00 ms"},
		{micros(1830), "1.83 ms"},
		{micros(999_400), "999 ms"},
		{micros(999_600), "1.00 s"},
		{micros(120e6), "120 s"},
		{micros(-1830), "-1.83 ms"},
		{micros(nan), "–"},
		{micros(inf), "–"},
		{micros(1e300), "1e+294 s"},
		{octets(0), "0 B"},
		{octets(1023), "1023 B"},
		{octets(1023.9), "1.00 KiB"},
		{octets(17.6 * (1 << 20)), "17.6 MiB"},
		{octets(3 << 30), "3.00 GiB"},
		{signed(5, micros), "+5.00 µs"},
		{signed(0, micros), "+0 µs"},
		{signed(-5, micros), "-5.00 µs"},
		{signed(nan, micros), "–"},
		{share(0), "0 %"},
		{share(0.0131), "1.31 %"},
		{share(0.000001), "0.0001 %"},
		{share(1), "100 %"},
		{share(nan), "–"},
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(1234567), "1,234,567"},
		{count(-123), "-123"},
		{count(-1234), "-1,234"},
		{rate(0), "0"},
		{rate(98.73), "98.7"},
		{rate(999.6), "1,000"},
		{rate(inf), "–"},
		{seconds(1), "1s"},
		{seconds(90.5), "1m30.5s"},
		{seconds(nan), "–"},
		{between(unitMicros, 115, 123), "+115 to +123 µs"},
		{between(unitMicros, -20, 1020), "-20.0 µs to +1.02 ms"},
		{between(unitBytes, 1<<20, 2<<20), "+1.00 to +2.00 MiB"},
		{exact("2.00 ms"), "2 ms"},
		{exact("0.10 %"), "0.1 %"},
		{exact("500 µs"), "500 µs"},
		{figure(unitShare, 0.5), "50.0 %"},
		{figure(unitBytes, 1024), "1.00 KiB"},
		{figure(unitPerRequest, 60), "60.0 µs"},
		{plural(1, "round"), "1 round"},
		{plural(2000, "round"), "2,000 rounds"},
		{plain("tab\tbell\aesc\x1b[2J"), `tab\tbell\aesc\x1b[2J`},
		{plain("right to left \u202e, no \xff text, \ufffd"), `right to left \u202e, no \xff text, ` + "\ufffd"},
		{plain("größer, 大"), "größer, 大"},
		{clip("größer", 6), "größer"},
		{clip("größer", 4), "grö…"},
	}
	if len(cases) < 61 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	cases := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", []string{""}},
		{"it fits", "one two", []string{"one two"}},
		{"it fits exactly", "12345 7890", []string{"12345 7890"}},
		{"between words", "12345 78901", []string{"12345", "78901"}},
		{"a long word", "a 1234567890123456789012 b", []string{"a", "1234567890", "1234567890", "12 b"}},
		{"a long word of whole lines", "12345678901234567890", []string{"1234567890", "1234567890"}},
		{"characters, not bytes", "ööööö ööööö", []string{"ööööö", "ööööö"}},
	}
	if len(cases) < 7 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, wrap(c.text, 10)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestReasonsNameWhatIsExceededFirst(t *testing.T) {
	d := failing(t)
	open := hostile(t)
	d.Scenarios = append(open.Scenarios, d.Scenarios...)
	var got []string
	for _, r := range d.reasons() {
		got = append(got, string(r.Finding.Verdict))
	}
	want := []string{"exceeded", "exceeded", "undecided"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
