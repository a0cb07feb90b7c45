package inspect

import (
	"io"
	"strconv"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// protobufBody reads a protocol buffers message without its schema. Each text in
// it is an argument, named by the numbers of the fields that lead to it: "body.1.3".
//
// On the wire a string, a byte string and a message look alike
// (protobuf.dev/programming-guides/encoding). So what is text is taken for text,
// what can be read as a message is read as one, and what can be both is both: a
// sender must not be able to choose which of them is inspected. Of all other bytes
// the runs of text are arguments, as in any body that is not text, and so are they
// of what stands behind the first byte that no message can have.
type protobufBody struct{}

// protobufProcessor is its name in rules.
const protobufProcessor = "OUTRIDER_PROTOBUF"

// ProcessRequest implements [plugintypes.BodyProcessor].
func (protobufBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	w := messageWalk{left: o.ArgumentLimit, add: v.ArgsPost().Add}
	w.body(body)
	if w.full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	return setSingle(v.RequestBodyLength(), strconv.Itoa(len(body)))
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (protobufBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// maxMessageDepth bounds how deep messages are read into each other. It is a
// quarter of what protobuf's own parsers allow and far more than any service
// nests; what lies deeper is inspected as bytes.
const maxMessageDepth = 25

// messageWalk collects the texts of a message.
type messageWalk struct {
	left int  // how many more arguments may be added
	full bool // there were more
	add  func(name, value string)
}

// body reads what is said to be a message. That is only the sender's word.
func (w *messageWalk) body(b string) {
	if b != "" && bodies.IsText(b) {
		w.text("body", b)
	}
	w.message("body", b, 0)
}

// message reads the fields of b as far as they can be read.
func (w *messageWalk) message(name, b string, depth int) {
	for len(b) > 0 && !w.full {
		f, rest, ok := nextField(b)
		if !ok {
			w.runs(name, b)
			return
		}
		if f.payload != "" {
			w.payload(name+"."+strconv.FormatUint(f.number, 10), f.payload, depth)
		}
		b = rest
	}
}

// payload is what a field with a length holds.
func (w *messageWalk) payload(name, p string, depth int) {
	text := bodies.IsText(p)
	if text {
		w.text(name, p)
	}
	switch {
	case depth < maxMessageDepth && isMessage(p):
		w.message(name, p, depth+1)
	case !text:
		w.runs(name, p)
	}
}

func (w *messageWalk) text(name, value string) {
	if w.left == 0 {
		w.full = true
		return
	}
	w.left--
	// A name of its own for each argument, see distinct.go.
	w.add(distinctName(name), value)
}

func (w *messageWalk) runs(name, b string) {
	for run := range bodies.Runs(b) {
		if w.text(name, run); w.full {
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
