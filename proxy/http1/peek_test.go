package http1

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"testing"
)

// pieces cuts bytes up as TLS records would.
func pieces(b []byte) (all [][]byte) {
	const record = 16 << 10
	for ; len(b) > record; b = b[record:] {
		all = append(all, b[:record])
	}
	return append(all, b)
}

// Bodies that wait for their inspection are what a sidecar holds most of: each holds
// little more than itself, and no buffer to read into.
func TestPeekHoldsLittleMoreThanTheBody(t *testing.T) {
	const kib = 1 << 10
	cases := []struct {
		name    string
		length  int // of the body
		peek    int64
		chunked bool
		holds   int // bytes of the buffer
	}{
		{"a small body", 1000, 16 * kib, false, smallBuffer},
		{"as much as is inspected by default", 16 * kib, 16 * kib, false, mediumBuffer},
		{"the beginning of a large body", 200 * kib, 16 * kib, false, mediumBuffer},
		{"a large body", 64 * kib, 64 * kib, false, 64 * kib},
		{"what of a larger cap a body needs", 40 * kib, 1024 * kib, false, 40 * kib},
		{"the most that a policy may ask for", 1024 * kib, 1024 * kib, false, 1024 * kib},
		{"a body of unknown length", 1000, 64 * kib, true, largeBuffer},
		{"a large body of unknown length", 64 * kib, 64 * kib, true, 64 * kib},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := bytes.Repeat([]byte("0123456789abcde\n"), c.length/16+1)[:c.length]
			kind, sent := lengthBody, text
			if c.chunked {
				kind = chunkedBody
				sent = []byte(strconv.FormatInt(int64(c.length), 16) + "\r\n" + string(text) + "\r\n0\r\n\r\n")
			}
			cn := &conn{net: &scriptConn{segments: pieces(sent)}, buffers: new(Buffers)}
			var b Body
			announced := int64(c.length)
			if c.chunked {
				announced = 0
			}
			b.reset(cn, &bodyLimits{trailerBytes: 512, headerCount: 20}, kind, announced)
			prefix, _, err := b.Peek(c.peek)
			if want := text[:min(int64(c.length), c.peek)]; err != nil || !bytes.Equal(prefix, want) {
				t.Fatalf("peeked %d bytes that are not the first %d (%v)", len(prefix), len(want), err)
			}
			if got := len(*b.peeked); got != c.holds {
				t.Errorf("it is held in %d bytes, want %d", got, c.holds)
			}
			if len(cn.unread()) == 0 && cn.buf != nil && len(*cn.buf) > smallBuffer {
				t.Errorf("an empty buffer of %d bytes waits with it", len(*cn.buf))
			}
			if got := drain(t, &b); !bytes.Equal(got, text) {
				t.Errorf("%d bytes are forwarded that are not the %d of the body", len(got), len(text))
			}
			b.release()
		})
	}
}

func drain(t *testing.T, b *Body) (all []byte) {
	t.Helper()
	for {
		p, err := b.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p...)
	}
}

func TestBuffersComeBackToWhereTheyWereTaken(t *testing.T) {
	var b Buffers
	for _, c := range []struct{ size, gets int }{
		{0, smallBuffer},
		{smallBuffer, smallBuffer},
		{smallBuffer + 1, mediumBuffer},
		{mediumBuffer, mediumBuffer},
		{mediumBuffer + 1, largeBuffer},
		{largeBuffer, largeBuffer},
		{largeBuffer + 1, largeBuffer + 1},
	} {
		p := b.get(c.size)
		if len(*p) != c.gets {
			t.Errorf("%d bytes are got for %d, want %d", len(*p), c.size, c.gets)
		}
		b.put(p)
		if again := b.get(c.size); len(*again) != c.gets {
			t.Errorf("%d bytes are got for %d the second time, want %d", len(*again), c.size, c.gets)
		}
	}
}
