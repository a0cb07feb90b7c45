package inspect

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// codings are those that are undone, by their names.
var codings = map[string]coding{"gzip": gzipCoding, "br": brotliCoding, "zstd": zstdCoding}

// compress is the text in a coding.
func compress(t testing.TB, name, text string) string {
	t.Helper()
	var (
		b   bytes.Buffer
		w   io.WriteCloser
		err error
	)
	switch name {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		t.Fatalf("no coding %q", name)
	}
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedBodiesAreInspected(t *testing.T) {
	const (
		limit  = 1000
		benign = `{"a":"x"}`
		attack = `{"a":"<script>alert(1)</script>"}`
	)
	random := strings.Repeat(strings.Join(strings.Split("q7z,k2,8fj3,0sd,f9a", ","), "!"), 60)
	spec := config.InspectionSpec{Body: config.InspectionBody{InspectBytes: limit}}
	allowing := spec
	allowing.OnFailure.Encoding = config.FailAllow
	deny := spec
	deny.Body.Overflow = config.OverflowDeny
	i, lax, strict := build(t, spec), build(t, allowing), build(t, deny)
	count := 0
	for name := range codings {
		packed := compress(t, name, benign)
		for _, tt := range []struct {
			what    string
			with    *Inspector
			body    string
			outcome flow.Outcome
			reason  flow.Uninspected
			refuse  bool
		}{
			{"benign", i, packed, flow.Clean, flow.Inspected, false},
			{"an attack", i, compress(t, name, attack), flow.Blocked, flow.Inspected, true},
			{"an attack, where codings are allowed", lax, compress(t, name, attack), flow.Blocked, flow.Inspected, true},
			{"an attack before the cap", i, compress(t, name, attack[:len(attack)-1]+`,"b":"`+random), flow.Blocked, flow.BodyOverCap, true},
			{"longer than the cap", i, compress(t, name, `{"b":"`+random), flow.Clean, flow.BodyOverCap, false},
			{"longer than the cap, which is denied", strict, compress(t, name, `{"b":"`+random), flow.NotInspected, flow.BodyOverCap, true},
			{"cut off", i, packed[:len(packed)-2], flow.Blocked, flow.Inspected, true},
			{"with something behind", i, packed + "<script>alert(1)</script>", flow.Blocked, flow.Inspected, true},
			{"not compressed at all", i, attack, flow.Blocked, flow.Inspected, true},
			{"nothing", i, "", flow.Clean, flow.Inspected, false},
		} {
			count++
			t.Run(name+"/"+tt.what, func(t *testing.T) {
				v := judge(t, tt.with, request("POST", "/", jsonType, "Content-Length: 1", "Content-Encoding: "+name), tt.body)
				if v.Outcome != tt.outcome || v.Uninspected != tt.reason || v.Refuse != tt.refuse {
					t.Errorf("verdict %+v", v)
				}
			})
		}
	}
	if count < 30 {
		t.Errorf("only %d cases", count)
	}
}

// Some kilobytes may be megabytes, and the first of them harmless.
func TestABombIsRefused(t *testing.T) {
	spec := config.InspectionSpec{Body: config.InspectionBody{InspectBytes: maxInspectBytes}}
	i := build(t, spec)
	spec.OnFailure.Encoding = config.FailAllow
	lax := build(t, spec)
	for name := range codings {
		bomb := compress(t, name, strings.Repeat(" ", 4<<20))
		req := request("POST", "/", jsonType, "Content-Length: 1", "Content-Encoding: "+name)
		if v := judge(t, i, req, bomb); v.Outcome != flow.NotInspected || v.Uninspected != flow.Encoding || !v.Refuse {
			t.Errorf("%s: %d bytes: %+v", name, len(bomb), v)
		}
		if v := judge(t, lax, req, bomb); v.Outcome != flow.NotInspected || v.Uninspected != flow.Encoding || v.Refuse {
			t.Errorf("%s, allowed: %+v", name, v)
		}
	}
}

// FuzzDecode holds that what is said to be all is, that no more comes than was
// asked for, and that a prefix is one.
func FuzzDecode(f *testing.F) {
	for name, c := range codings {
		for _, s := range []string{"", "hello", strings.Repeat("a", 1000)} {
			packed := compress(f, name, s)
			f.Add([]byte(packed), uint8(c), uint16(10), false)
			f.Add([]byte(packed)[:len(packed)-1], uint8(c), uint16(10), true)
		}
	}
	var u unzipper
	f.Fuzz(func(t *testing.T, b []byte, c uint8, limit uint16, cut bool) {
		kind := coding(c % uint8(unknownCoding))
		got, whole, err := u.decode(kind, b, int(limit), cut)
		if len(got) > int(limit) || whole && cut || err != nil && len(got) > 0 {
			t.Fatalf("%d bytes, whole %t, %v", len(got), whole, err)
		}
		all, allWhole, allErr := u.decode(kind, b, 1<<20, false)
		if whole && (!allWhole || !bytes.Equal(all, got)) {
			t.Errorf("%d bytes are said to be all: %d, %v", len(got), len(all), allErr)
		}
		if allErr == nil && !bytes.HasPrefix(all, got) {
			t.Errorf("%q does not begin with %q", all, got)
		}
	})
}

// A panicking decoder stands for one that a body breaks.
type panickingDecoder struct{}

func (panickingDecoder) Read([]byte) (int, error) { panic("broken") }
func (panickingDecoder) Reset(io.Reader) error    { return nil }

// A body that breaks its decoder costs that request, and the decoder is not used again.
func TestBrokenDecodersAreRefused(t *testing.T) {
	i := build(t, config.InspectionSpec{})
	i.unzip.gzip.New = func() any { return panickingDecoder{} }
	req := request("POST", "/", jsonType, "Content-Encoding: gzip", "Content-Length: 10")
	v := judge(t, i, req, compress(t, "gzip", `{"a":1}`))
	if v.Outcome != flow.Blocked || !v.Refuse || !hasRule(v, 7100008) {
		t.Errorf("verdict %+v", v)
	}
	i.unzip.gzip.New = nil
	if used := i.unzip.gzip.Get(); used != nil {
		t.Errorf("%T is kept", used)
	}
}
