package inspect

import (
	"encoding/binary"
	"errors"
)

// framePrefix is what stands in front of each message of gRPC: a byte of flags and
// the length in four bytes, the highest first (gRPC over HTTP/2, Length-Prefixed-Message).
const framePrefix = 5

// flagCompressed is the only flag that a request's message may have. Answers of
// gRPC-Web have another, for trailers.
const flagCompressed = 1

var (
	errFrameCut  = errors.New("the body ends inside of a message")
	errFrameFlag = errors.New("a message has flags that do not exist")
)

// A frame is a message of gRPC as far as it is there.
type frame struct {
	compressed bool
	// size is the length that was announced.
	size    int64
	payload []byte
}

// whole tells whether all of the message is there.
func (f frame) whole() bool { return int64(len(f.payload)) == f.size }

// cutFrame cuts the first message off. What follows one that is not whole is empty.
func cutFrame(b []byte) (f frame, rest []byte, err error) {
	if len(b) > 0 && b[0]&^flagCompressed != 0 {
		return frame{}, nil, errFrameFlag
	}
	if len(b) < framePrefix {
		return frame{}, nil, errFrameCut
	}
	f = frame{compressed: b[0] == flagCompressed, size: int64(binary.BigEndian.Uint32(b[1:framePrefix]))}
	n := framePrefix + min(f.size, int64(len(b)-framePrefix))
	f.payload = b[framePrefix:n]
	return f, b[n:], nil
}
