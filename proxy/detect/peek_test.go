package detect_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/detect"
)

const patience = 100 * time.Millisecond

// pieces sends b in pieces of the given sizes, the last one repeated, and then
// ends the connection.
func pieces(nc net.Conn, b []byte, sizes []byte) {
	defer nc.Close()
	for i := 0; len(b) > 0; i++ {
		size := 1
		if len(sizes) > 0 {
			size = max(1, int(sizes[min(i, len(sizes)-1)]))
		}
		size = min(size, len(b))
		if _, err := nc.Write(b[:size]); err != nil {
			return
		}
		b = b[size:]
	}
}

// What was looked at is read again, byte for byte, however it arrived; and the
// pieces it came in do not change what it is taken for.
func checkReplay(t *testing.T, b, sizes []byte) {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pieces(client, b, sizes)
	}()
	kind, replay, err := detect.Peek(server, time.Minute)
	if err != nil && len(b) > 0 {
		t.Fatalf("Peek: %v", err)
	}
	if want, _ := detect.Classify(b[:min(len(b), 64)]); kind != want {
		t.Errorf("%q in pieces of %v is %v, want %v", b, sizes, kind, want)
	}
	got, err := io.ReadAll(replay)
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("read back %q, %v; sent %q", got, err, b)
	}
	_ = replay.Close()
	<-done
}

func TestWhatWasLookedAtIsReadAgain(t *testing.T) {
	n := 0
	for _, c := range firstBytes {
		for _, sizes := range [][]byte{{1}, {2, 1}, {3, 7, 1}, {255}} {
			checkReplay(t, []byte(c.b), sizes)
			checkReplay(t, []byte(c.b+strings.Repeat("x", 300)), sizes)
			n++
		}
	}
	if n < 240 {
		t.Errorf("only %d segmentations", n)
	}
}

func FuzzReplayEqualsInput(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{1})
	f.Add([]byte("\x16\x03\x01\x02\x00"), []byte{1, 4})
	f.Add(bytes.Repeat([]byte("A"), 200), []byte{63, 2})
	f.Fuzz(checkReplay)
}

func TestPeekWaitsNoLongerThanItMay(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		kind       detect.Kind
	}{
		{"a silent client", "", detect.Silent},
		{"a client that stops inside of a method", "GE", detect.Opaque},
		{"a client that stops inside of the preface", "PRI * H", detect.HTTP2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				go client.Write([]byte(c.sent))
				start := time.Now()
				kind, replay, err := detect.Peek(server, patience)
				if kind != c.kind || err != nil {
					t.Errorf("Peek: %v, %v; want %v", kind, err, c.kind)
				}
				if took := time.Since(start); took != patience { // fake time
					t.Errorf("it took %v", took)
				}
				_ = replay.Close()
			})
		})
	}
}

// A deadline that outlives the look would end the handshake that follows it.
func TestPeekLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		go func() {
			_, _ = client.Write([]byte("\x16\x03\x01"))
			time.Sleep(10 * patience) //nolint:forbidigo // fake time
			_, _ = client.Write([]byte("more"))
		}()
		_, replay, err := detect.Peek(server, patience)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 7)
		if n, err := io.ReadFull(replay, got); err != nil {
			t.Errorf("read %q, then %v", got[:n], err)
		}
		_ = replay.Close()
	})
}

func TestPeekHoldsNoMoreThanItMay(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	taken := make(chan int, 1)
	go func() {
		n, _ := client.Write(bytes.Repeat([]byte("A"), 10_000))
		taken <- n
	}()
	kind, replay, err := detect.Peek(server, time.Minute)
	if kind != detect.Opaque || err != nil {
		t.Errorf("Peek: %v, %v", kind, err)
	}
	_ = replay.Close()
	if n := <-taken; n > 64 {
		t.Errorf("%d bytes were taken from the client", n)
	}
}

func TestPeekReportsTheEndOfAConnection(t *testing.T) {
	client, server := net.Pipe()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go func() {
			time.Sleep(time.Second) //nolint:forbidigo // fake time; Peek is waiting by then
			_ = client.Close()
		}()
		if _, replay, err := detect.Peek(server, time.Minute); !errors.Is(err, io.EOF) || replay == nil {
			t.Errorf("after the end: %v, %v", replay, err)
		}
	})
	_ = client.Close()
	_ = server.Close()
	if _, replay, err := detect.Peek(server, time.Minute); !errors.Is(err, io.ErrClosedPipe) || replay == nil {
		t.Errorf("after a close of ours: %v, %v", replay, err)
	}
}

type halfCloser struct {
	net.Conn
	closed bool
}

func (h *halfCloser) CloseWrite() error {
	h.closed = true
	return nil
}

func TestCloseWriteReachesTheConnectionBelow(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	below := &halfCloser{Conn: server}
	if err := detect.Replay(below, nil).CloseWrite(); err != nil || !below.closed {
		t.Errorf("CloseWrite: %v, reached %t", err, below.closed)
	}
	c := detect.Replay(server, nil)
	if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite of a pipe: %v", err)
	}
	if c.NetConn() != server {
		t.Error("NetConn is another connection")
	}
}
