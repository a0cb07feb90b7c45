package inspect

import (
	"encoding/base64"
	"errors"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

var errFrameCompressed = errors.New("a message is compressed")

// grpcWebBody reads a request of gRPC-Web: messages in frames, each read as protobuf
// without its schema. It ends, unlike the request of gRPC, so all of its messages
// are inspected as far as a body is: the last may be cut off, of which the texts are
// taken all the same. The error tells what follows them.
func grpcWebBody(body string, to *bodies.Sink) error {
	for b := []byte(body); len(b) > 0 && !to.Ended(); {
		f, rest, err := cutFrame(b)
		if err != nil {
			return err
		}
		if f.compressed {
			return errFrameCompressed
		}
		bodies.Protobuf(string(f.payload), to)
		if !f.whole() {
			return errFrameCut
		}
		b = rest
	}
	return nil
}

// grpcWebTextBody reads the text form of gRPC-Web, which comes in base64.
func grpcWebTextBody(body string, to *bodies.Sink) error {
	framed, broken := decodeSegments(body)
	if err := grpcWebBody(string(framed), to); err != nil {
		return err
	}
	return broken
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
