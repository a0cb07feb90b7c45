package inspect

import (
	"encoding/base64"
	"errors"
	"io"
	"strconv"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// grpcWebBody reads a request of gRPC-Web: messages in frames, each read as protobuf
// without its schema. It ends, unlike the request of gRPC, so all of its messages
// are inspected as far as a body is. In its text form it comes in base64.
//
// What is no such body is an error, which the rules refuse: the content type is the
// caller's word, and an application that reads the body as something else would get
// what was not looked at.
type grpcWebBody struct{ text bool }

var errFrameCompressed = errors.New("a message is compressed")

// ProcessRequest implements [plugintypes.BodyProcessor].
func (p grpcWebBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	w := messageWalk{left: o.ArgumentLimit, add: v.ArgsPost().Add}
	broken := p.read(body, &w)
	if w.full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	if err := setSingle(v.RequestBodyLength(), strconv.Itoa(len(body))); err != nil {
		return err
	}
	return broken
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (grpcWebBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// read walks the messages of a body as far as there are any; the error tells what
// follows them.
func (p grpcWebBody) read(body string, w *messageWalk) error {
	if !p.text {
		return w.frames([]byte(body))
	}
	framed, broken := decodeSegments(body)
	if err := w.frames(framed); err != nil {
		return err
	}
	return broken
}

// frames walks the messages of b, the last of which may be cut off: then its texts
// are added all the same, and the error tells.
func (w *messageWalk) frames(b []byte) error {
	for len(b) > 0 && !w.full {
		f, rest, err := cutFrame(b)
		if err != nil {
			return err
		}
		if f.compressed {
			return errFrameCompressed
		}
		w.body(string(f.payload))
		if !f.whole() {
			return errFrameCut
		}
		b = rest
	}
	return nil
}

// decodeSegments decodes base64 that may have been padded and gone on, as whoever
// flushes does (gRPC-Web, "Protocol differences vs gRPC over HTTP2"). The error is
// about what follows the bytes that are returned.
func decodeSegments(s string) ([]byte, error) {
	const quantum = 4 // characters, for up to three bytes
	out := make([]byte, 0, len(s)/quantum*3)
	for len(s) > 0 {
		var three [3]byte
		n, err := base64.StdEncoding.Decode(three[:], []byte(s[:min(quantum, len(s))]))
		if err != nil {
			return out, errors.New("the body is not base64")
		}
		out = append(out, three[:n]...)
		s = s[min(quantum, len(s)):]
	}
	return out, nil
}
