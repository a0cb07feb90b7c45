package quic

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// ALPN is the name of this protocol (RFC 7301). The number is the version of the wire
// format of connections; that of streams is in their preface.
const ALPN = "outrider/1+quic"

// A preface is what a stream begins with: a version, what the stream carries, and
// the port it is meant for in network byte order.
type preface [prefaceSize]byte

const (
	prefaceSize    = 4
	prefaceVersion = 1
)

// What a stream may carry.
const (
	carriesHTTP1 = 1
	carriesTCP   = 2
	carriesHTTP2 = 3
)

func newPreface(p flow.Protocol, port uint16) (b preface) {
	b[0] = prefaceVersion
	switch p {
	case flow.HTTP1:
		b[1] = carriesHTTP1
	case flow.HTTP2:
		b[1] = carriesHTTP2
	case flow.TCP, flow.Undetected:
		b[1] = carriesTCP
	}
	binary.BigEndian.PutUint16(b[2:], port)
	return b
}

// readPreface is strict: what it does not know, somebody else would take for
// something.
func readPreface(r io.Reader) (p flow.Protocol, port uint16, err error) {
	var b preface
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, fmt.Errorf("preface of a stream: %w", err)
	}
	if b[0] != prefaceVersion {
		return 0, 0, fmt.Errorf("preface of a stream: version %d is not known", b[0])
	}
	switch b[1] {
	case carriesHTTP1:
		p = flow.HTTP1
	case carriesHTTP2:
		p = flow.HTTP2
	case carriesTCP:
		p = flow.TCP
	default:
		return 0, 0, fmt.Errorf("preface of a stream: protocol %d is not known", b[1])
	}
	if port = binary.BigEndian.Uint16(b[2:]); port == 0 {
		return 0, 0, fmt.Errorf("preface of a stream: port 0")
	}
	return p, port, nil
}

// accepted is the answer to a preface; a stream that is not accepted is reset.
const accepted = 0

// Codes with which streams and connections are ended (RFC 9000 §20.2 leaves them to
// us).
const (
	codeNone    = 0 // in good order
	codeAborted = 1 // cut off
	codePreface = 2 // the preface is not understood
	codePort    = 3 // nobody serves that port
	codeTrust   = 4 // the peer's chain no longer verifies
	codeClosing = 5 // this end is shutting down
	codeSilent  = 6 // the other end does not answer
	codeBusy    = 7 // there are too many connections
)
