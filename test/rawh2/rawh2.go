// Package rawh2 is the other end of an HTTP/2 connection, frame by frame, for tests
// that need one which is wrong, slow or gone. What a well-behaved end would do by
// itself it does only where a comment says so.
package rawh2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Peer is one end of a connection. It belongs to one goroutine, except that
// reading and writing may be done by two.
type Peer struct {
	// Framer reads and writes any frame at all. It does not decompress heads;
	// Next does.
	Framer *http2.Framer
	nc     net.Conn

	// ended are the streams that the other end has ended, as far as Next has read.
	ended map[uint32]bool

	enc     *hpack.Encoder
	section bytes.Buffer
	dec     *hpack.Decoder
}

// table is the size of HPACK's dynamic table, in bytes (RFC 9113 §6.5.2).
const table = 4096

// New speaks on a connection, and says nothing yet.
func New(nc net.Conn) *Peer {
	p := &Peer{nc: nc, Framer: http2.NewFramer(nc, nc), ended: map[uint32]bool{}, dec: hpack.NewDecoder(table, nil)}
	p.Framer.AllowIllegalWrites = true
	p.Framer.ReadMetaHeaders = p.dec
	p.enc = hpack.NewEncoder(&p.section)
	return p
}

// NewClient says what a client begins with, and does not wait for the answer.
func NewClient(nc net.Conn, settings ...http2.Setting) (*Peer, error) {
	p := New(nc)
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		return nil, fmt.Errorf("send the preface: %w", err)
	}
	return p, p.Framer.WriteSettings(settings...)
}

// NewServer reads what a client begins with, and answers.
func NewServer(nc net.Conn, settings ...http2.Setting) (*Peer, error) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil {
		return nil, fmt.Errorf("read the preface: %w", err)
	}
	if string(preface) != http2.ClientPreface {
		return nil, fmt.Errorf("the preface is %q", preface)
	}
	p := New(nc)
	return p, p.Framer.WriteSettings(settings...)
}

// Close ends the connection.
func (p *Peer) Close() error { return p.nc.Close() }

// Section compresses a header section of names and values in turns.
func (p *Peer) Section(fields ...string) []byte {
	p.section.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		// A bytes.Buffer takes everything.
		_ = p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.section.Bytes())
}

// Headers sends a header section in one frame.
func (p *Peer) Headers(id uint32, end bool, fields ...string) error {
	return p.Framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.Section(fields...), EndHeaders: true, EndStream: end,
	})
}

// Request sends a request head with those pseudo-header fields and more.
func (p *Peer) Request(id uint32, end bool, method, path string, fields ...string) error {
	head := []string{":method", method, ":scheme", "http", ":authority", "payments", ":path", path}
	return p.Headers(id, end, append(head, fields...)...)
}

// Call sends the head of a gRPC call, and with end the whole of an empty one.
func (p *Peer) Call(id uint32, end bool, method string, fields ...string) error {
	return p.Request(id, end, "POST", method, append([]string{"content-type", "application/grpc", "te", "trailers"}, fields...)...)
}

// Next returns the next frame that is not about the connection as such: SETTINGS and
// PING are answered, and their acknowledgements and WINDOW_UPDATE passed over.
// Windows are not granted.
func (p *Peer) Next() (http2.Frame, error) {
	for {
		f, err := p.Framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		p.note(f)
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = p.Framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = p.Framer.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
		default:
			return f, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *Peer) note(f http2.Frame) {
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		p.ended[f.StreamID] = true
	case interface{ StreamEnded() bool }:
		if f.StreamEnded() {
			p.ended[f.(http2.Frame).Header().StreamID] = true
		}
	}
}

// Ended tells whether the other end was seen to end a stream.
func (p *Peer) Ended(id uint32) bool { return p.ended[id] }

// An Answer is what came on one stream.
type Answer struct {
	// Heads are the header sections: interim ones, the response and, unless it
	// came alone, the trailers.
	Heads []map[string]string
	Body  []byte
	// Alone tells that the last head ended the stream by itself, with no body and
	// nothing behind it.
	Alone bool
}

// Last is a field of the last header section.
func (a *Answer) Last(name string) string {
	if len(a.Heads) == 0 {
		return ""
	}
	return a.Heads[len(a.Heads)-1][name]
}

// ErrReset tells that a stream was called off.
var ErrReset = errors.New("the stream was reset")

// ErrGoAway tells that the connection ends.
var ErrGoAway = errors.New("the connection is closed")

// Answer reads until stream id ends. What is for other streams is dropped.
func (p *Peer) Answer(id uint32) (*Answer, error) {
	a := new(Answer)
	for {
		f, err := p.Next()
		if err != nil {
			return a, err
		}
		if g, ok := f.(*http2.GoAwayFrame); ok && (g.ErrCode != http2.ErrCodeNo || g.LastStreamID < id) {
			return a, fmt.Errorf("%w: %v, last stream %d: %s", ErrGoAway, g.ErrCode, g.LastStreamID, g.DebugData())
		}
		if f.Header().StreamID != id {
			continue
		}
		ended, err := a.add(f)
		if ended || err != nil {
			return a, err
		}
	}
}

// add takes a frame of the stream, and tells whether it was the last.
func (a *Answer) add(f http2.Frame) (ended bool, err error) {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		head := map[string]string{}
		for _, field := range f.Fields {
			head[field.Name] = field.Value
		}
		a.Heads = append(a.Heads, head)
		a.Alone = f.StreamEnded() && len(a.Heads) == 1
		return f.StreamEnded(), nil
	case *http2.DataFrame:
		a.Body = append(a.Body, f.Data()...)
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return true, fmt.Errorf("%w: %v", ErrReset, f.ErrCode)
	}
	return false, nil
}

// GoAway reads until the connection is ended, and returns with which code. Streams
// are not looked at. A connection that ends without a word has err set.
func (p *Peer) GoAway() (code http2.ErrCode, why string, err error) {
	for {
		f, err := p.Next()
		if err != nil {
			return 0, "", err
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			return g.ErrCode, string(g.DebugData()), nil
		}
	}
}
