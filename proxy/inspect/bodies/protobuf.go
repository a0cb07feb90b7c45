package bodies

import "strconv"

// maxMessageDepth bounds how deep messages are read into each other. It is a
// quarter of what protobuf's own parsers allow and far more than any service
// nests; what lies deeper is inspected as bytes.
const maxMessageDepth = 25

// Protobuf reads a protocol buffers message without its schema. Each text in it is
// named by the numbers of the fields that lead to it: "body.1.3".
//
// On the wire a string, a byte string and a message look alike
// (protobuf.dev/programming-guides/encoding). So what is text is taken for text,
// what can be read as a message is read as one, and what can be both is both: a
// sender must not be able to choose which of them is inspected. Of all other bytes
// the runs of text are values, as in any body that is not text, and so are they
// of what stands behind the first byte that no message can have.
func Protobuf(body string, to *Sink) {
	w := protobuf{Sink: to, name: []byte("body")}
	if body != "" && IsText(body) { // that it is a message is only the sender's word
		w.put(w.name, body)
	}
	w.message(body, 0)
}

type protobuf struct {
	*Sink
	name []byte // of the message that is being read
}

// message reads the fields of b as far as they can be read.
func (w *protobuf) message(b string, depth int) {
	for len(b) > 0 && !w.Ended() {
		f, rest, ok := nextField(b)
		if !ok {
			w.runs(b)
			return
		}
		if f.payload != "" {
			outer := len(w.name)
			w.name = strconv.AppendUint(append(w.name, '.'), f.number, 10)
			w.payload(f.payload, depth)
			w.name = w.name[:outer]
		}
		b = rest
	}
}

// payload is what a field with a length holds.
func (w *protobuf) payload(p string, depth int) {
	text := IsText(p)
	if text {
		w.put(w.name, p)
	}
	switch {
	case depth < maxMessageDepth && isMessage(p):
		w.message(p, depth+1)
	case !text:
		w.runs(p)
	}
}

func (w *protobuf) runs(b string) {
	for run := range Runs(b) {
		if !w.put(w.name, run) {
			return
		}
	}
}

// isMessage tells whether b can be read as fields to its end.
func isMessage(b string) bool {
	for len(b) > 0 {
		_, rest, ok := nextField(b)
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

// A wireField is one field: its number, and what it holds if it has a length.
type wireField struct {
	number  uint64
	payload string
}

// The wire types. Groups are marks before and behind fields, which are read as if
// they stood outside.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// maxFieldNumber is what parsers let pass; the language ends at 2^29-1.
const maxFieldNumber = 1<<31 - 1

// nextField cuts the first field off.
func nextField(b string) (f wireField, rest string, ok bool) {
	tag, b, ok := varint(b)
	f.number = tag >> 3
	if !ok || f.number == 0 || f.number > maxFieldNumber {
		return f, b, false
	}
	size := uint64(0)
	switch tag & 7 {
	case wireVarint:
		_, b, ok = varint(b)
		return f, b, ok
	case wireFixed64:
		size = 8
	case wireFixed32:
		size = 4
	case wireBytes:
		if size, b, ok = varint(b); !ok || size > uint64(len(b)) {
			return f, b, false
		}
		f.payload = b[:size]
	case wireGroup, wireEnd:
	default:
		return f, b, false
	}
	if size > uint64(len(b)) {
		return f, b, false
	}
	return f, b[size:], true
}

// varint cuts a number off: seven bits a byte, the lowest first, at most ten bytes.
// Longer forms than needed are read, as parsers do.
func varint(b string) (n uint64, rest string, ok bool) {
	for i := 0; i < len(b) && i < 10; i++ {
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, b[i+1:], true
		}
	}
	return 0, b, false
}
