package inspect

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// kinds are contents of a field that are no attacks, though they may look like text
// here and there.
var kinds = map[string]func(t testing.TB, r *rand.Rand) []byte{
	"noise": func(_ testing.TB, r *rand.Rand) []byte {
		return noise(r, 256)
	},
	"small numbers": func(_ testing.TB, r *rand.Rand) []byte {
		return noise(r, 128) // packed, and each of them a character
	},
	"numbers": func(_ testing.TB, r *rand.Rand) (b []byte) {
		for range 1 + r.IntN(60) {
			b = protowire.AppendVarint(b, r.Uint64()>>r.IntN(64))
		}
		return b
	},
	"pictures": picture,
	"archives": func(t testing.TB, r *rand.Rand) []byte {
		return []byte(gzipped(t, strings.Repeat("so many words ", 1+r.IntN(50))))
	},
}

func noise(r *rand.Rand, below int) []byte {
	b := make([]byte, 1+r.IntN(600))
	for i := range b {
		b[i] = byte(r.IntN(below))
	}
	return b
}

func picture(t testing.TB, r *rand.Rand) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 1+r.IntN(16), 1+r.IntN(16)))
	for x := range m.Rect.Dx() {
		for y := range m.Rect.Dy() {
			m.Set(x, y, color.RGBA{byte(r.Uint32()), byte(x), byte(y), 255})
		}
	}
	var b bytes.Buffer
	var err error
	if r.IntN(2) == 0 {
		err = png.Encode(&b, m)
	} else {
		err = jpeg.Encode(&b, m, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asForm is a form with these values.
func asForm(values []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString("v=")
		for j := range len(v) {
			if strings.IndexByte(plain, v[j]) >= 0 {
				b.WriteByte(v[j])
				continue
			}
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[v[j]>>4], digits[v[j]&15]})
		}
	}
	return b.String()
}

// Messages of bytes are no more often taken for attacks than their texts would be in
// a form: reading without a schema finds texts, and makes none up. Numbers below 128
// that are packed are text, though, and where there are hundreds of them at random,
// some of it is SQL.
func TestBytesInMessagesAreNoAttacks(t *testing.T) {
	most := map[string]int{"noise": 6, "numbers": 2, "pictures": 2, "archives": 0, "small numbers": 90} // of 600
	total, each := 0, 600
	if raced {
		each = 20 // the others are like them
	}
	for kind, blob := range kinds {
		r := rand.New(rand.NewPCG(3, 4))
		taken := 0
		for n := range each {
			total++
			message := stringField(1, "photo.png") +
				string(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), blob(t, r))) +
				string(protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), r.Uint64()))
			v := calls(t, unary(t), call(), framed(0, message), true)
			if v.Outcome == flow.Clean {
				continue
			}
			taken++
			var texts []string
			bodies.Protobuf(message, &bodies.Sink{Left: 1000, Add: func(_ []byte, value string) bool {
				texts = append(texts, value)
				return true
			}})
			if form := judge(t, mesh(t), request("POST", "/", formType), asForm(texts)); v.Outcome != flow.Blocked || form.Outcome != flow.Blocked {
				t.Errorf("%s %d: %v by %v at %s, and its texts in a form are %v: %q", kind, n, v.Outcome, v.Rules, v.Location, form.Outcome, texts)
			}
		}
		t.Logf("%s: %d of %d are taken for attacks, here and in a form", kind, taken, each)
		if taken > most[kind] {
			t.Errorf("%s: %d are taken for attacks, more than %d", kind, taken, most[kind])
		}
	}
	if total < 3000 && !raced {
		t.Errorf("only %d messages", total)
	}
}
