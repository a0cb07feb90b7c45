package message

// A Tap copies the first bytes of a body as they pass. The zero Tap copies nothing.
type Tap struct {
	most int64
	copy []byte
}

// tapAtOnce bounds what is made room for on the word of a sender, in bytes: as much as
// inspection wants by default.
const tapAtOnce = 16 << 10

// Open has the tap copy so many bytes at most. Length is that of the body, as far as it
// is known: there is one allocation if it is small. It is negative otherwise.
func (t *Tap) Open(most, length int64) {
	t.most, t.copy = most, nil
	if length > 0 {
		t.copy = make([]byte, 0, min(most, length, tapAtOnce))
	}
}

// See shows the tap what passes. At is the place of p in the body: what is sent a
// second time passes twice, and is copied once.
func (t *Tap) See(at int64, p []byte) {
	have := int64(len(t.copy))
	if have >= t.most || at > have || at+int64(len(p)) <= have {
		return
	}
	p = p[have-at:]
	t.copy = append(t.copy, p[:min(int64(len(p)), t.most-have)]...)
}

// Seen is what was copied. Nothing else refers to it once the body is at its end.
func (t *Tap) Seen() []byte { return t.copy }
