package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Against the exact percentiles of a hundred thousand latencies of several
// shapes: the histogram is off by a thousandth, or by its unit of half a
// microsecond where that is more.
func TestQuantilesAreTrueToAThousandth(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() float64{
		"even":        func() float64 { return rnd.Float64() * 1e9 },
		"exponential": func() float64 { return rnd.ExpFloat64() * 3e5 },
		"log-normal":  func() float64 { return math.Exp(rnd.NormFloat64()*1.5) * 2e5 },
		"two humps":   func() float64 { return 5e4 + 1e3*rnd.Float64() + 4e7*float64(rnd.IntN(2)) },
		"constant":    func() float64 { return 123_456 },
	}
	compared := 0
	for name, next := range shapes {
		h, exact := New(), make([]time.Duration, 100_000)
		for i := range exact {
			exact[i] = time.Duration(next())
			h.Record(exact[i])
		}
		slices.Sort(exact)
		for _, q := range []float64{0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1} {
			compared++
			want := exact[int(math.Ceil(q*float64(len(exact))))-1]
			allowed := max(float64(want)/1000, 512)
			if got := h.Quantile(q); math.Abs(float64(got-want)) > allowed {
				t.Errorf("%s: quantile %g is %s, want %s", name, q, got, want)
			}
		}
		if h.Count() != int64(len(exact)) || h.Over() != 0 {
			t.Errorf("%s: counted %d, %d over", name, h.Count(), h.Over())
		}
	}
	if compared < 55 {
		t.Errorf("compared only %d quantiles", compared)
	}
}

func TestTheEmptyHistogram(t *testing.T) {
	h := New()
	if h.Count() != 0 || h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Errorf("%d %s %s %s", h.Count(), h.Quantile(0.5), h.Mean(), h.Max())
	}
}

func TestWhatIsOutOfRangeIsKeptAndCounted(t *testing.T) {
	h := New()
	h.Record(-time.Second)
	h.Record(time.Hour)
	if h.Count() != 2 || h.Over() != 1 {
		t.Errorf("counted %d, %d over", h.Count(), h.Over())
	}
	if got := h.Max(); got < 119*time.Second || got > 121*time.Second {
		t.Errorf("the longest is %s", got)
	}
	if got := h.Quantile(0.25); got > time.Microsecond {
		t.Errorf("the shortest is %s", got)
	}
}

func TestAddIsTheSameAsRecordingAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	a, b, all := New(), New(), New()
	for i := range 10_000 {
		d := time.Duration(rnd.ExpFloat64() * 1e6)
		all.Record(d)
		[]*Histogram{a, b}[i%2].Record(d)
	}
	a.Record(time.Hour)
	all.Record(time.Hour)
	b.Add(a)
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		if b.Quantile(q) != all.Quantile(q) {
			t.Errorf("quantile %g: %s, want %s", q, b.Quantile(q), all.Quantile(q))
		}
	}
	if b.Count() != all.Count() || b.Over() != 1 || b.Mean() != all.Mean() {
		t.Errorf("counted %d of %d, %d over, mean %s of %s", b.Count(), all.Count(), b.Over(), b.Mean(), all.Mean())
	}
}

func TestEncodeAndDecode(t *testing.T) {
	h := New()
	for i := range 1000 {
		h.Record(time.Duration(i) * time.Millisecond)
	}
	text, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 1} {
		if got.Quantile(q) != h.Quantile(q) {
			t.Errorf("quantile %g: %s, want %s", q, got.Quantile(q), h.Quantile(q))
		}
	}
	if got.Count() != h.Count() {
		t.Errorf("counted %d, want %d", got.Count(), h.Count())
	}
	for name, bad := range map[string]string{
		"nothing": "", "no base64": "!!!", "base64 of something else": "aGVsbG8gd29ybGQsIGhvdyBhcmUgeW91",
		"half of one": text[:len(text)/2], "too long": strings.Repeat("A", maxEncoded+1),
	} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

// Whatever a file holds, it is a histogram or an error.
func FuzzDecode(f *testing.F) {
	h := New()
	h.Record(time.Millisecond)
	text, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("HISTFAAAAB")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Decode(text)
		if err != nil {
			return
		}
		again, err := h.Encode()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		same, err := Decode(again)
		if err != nil || same.Count() != h.Count() || same.Quantile(0.5) != h.Quantile(0.5) {
			t.Errorf("%q: counts %d, after a round trip %v, %v", text, h.Count(), same, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	h := New()
	b.ReportAllocs()
	for i := range b.N {
		h.Record(time.Duration(i%1_000_000) * time.Microsecond)
	}
}
