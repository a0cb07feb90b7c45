package capture

import (
	"bytes"
	"testing"

	"github.com/google/nftables/userdata"
)

// What the library writes is read, and nothing that is read was not there.
func FuzzCommentOf(f *testing.F) {
	f.Add([]byte{}, "x")
	f.Add([]byte{0, 2, 'a', 0}, "only TCP is captured")
	f.Add([]byte{0, 200, 'a', 0}, "")
	f.Add([]byte{7, 1, 0, 0, 2, 'b', 0}, "b")
	f.Add([]byte{0}, "a\x00b")
	f.Fuzz(func(t *testing.T, foreign []byte, text string) {
		if got, ok := commentOf(foreign); ok && !bytes.Contains(foreign, append([]byte(got), 0)) {
			t.Errorf("%q is read from %q", got, foreign)
		}
		if len(text) > 120 || bytes.IndexByte([]byte(text), 0) >= 0 {
			return
		}
		ours := userdata.AppendString(nil, userdata.TypeComment, text)
		if got, ok := commentOf(ours); !ok || got != text {
			t.Errorf("%q is read as %q, %v", text, got, ok)
		}
		if got, ok := commentOf(ours[:len(ours)-1]); ok {
			t.Errorf("cut short, it is read as %q", got)
		}
	})
}
