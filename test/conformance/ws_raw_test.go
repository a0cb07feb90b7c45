package conformance_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/test/rawh2"
)

// A wsFrame is one frame of WebSocket as it is on the wire (RFC 6455 §5.2).
type wsFrame struct {
	fin    bool
	rsv    byte // the three bits
	op     byte
	masked bool
	data   string
}

// Opcodes.
const (
	wsMore, wsText, wsBinary, wsClose, wsPing, wsPong = 0, 1, 2, 8, 9, 10
)

func (f wsFrame) String() string {
	return fmt.Sprintf("op %d fin %v rsv %d masked %v, %d bytes %.20q", f.op, f.fin, f.rsv, f.masked, len(f.data), f.data)
}

// wire is the frame's bytes. A mask is always the same: what the mask is for is not
// what is tested here.
func (f wsFrame) wire() []byte {
	b := []byte{f.rsv<<4 | f.op, 0}
	if f.fin {
		b[0] |= 0x80
	}
	switch n := len(f.data); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if !f.masked {
		return append(b, f.data...)
	}
	b[1] |= 0x80
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i := range len(f.data) {
		b = append(b, f.data[i]^mask[i%4])
	}
	return b
}

// A wsEnd is one end of a conversation, whatever carries it.
type wsEnd struct {
	r      *bufio.Reader
	w      io.Writer
	client bool
	// finish ends the sending side only; nil where that is not possible. abort ends
	// all of it at once.
	finish, abort func() error
}

// frame is a frame of this end: a client masks.
func (c *wsEnd) frame(op byte, data string) wsFrame {
	return wsFrame{fin: true, op: op, masked: c.client, data: data}
}

func (c *wsEnd) send(frames ...wsFrame) error {
	var all []byte
	for _, f := range frames {
		all = append(all, f.wire()...)
	}
	_, err := c.w.Write(all)
	return err
}

// recv reads the next frame.
func (c *wsEnd) recv() (f wsFrame, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return f, err
	}
	f = wsFrame{fin: head[0]&0x80 != 0, rsv: head[0] >> 4 & 7, op: head[0] & 15, masked: head[1]&0x80 != 0}
	n := uint64(head[1] & 0x7f)
	if extra := map[uint64]int{126: 2, 127: 8}[n]; extra > 0 {
		long := make([]byte, 8)
		if _, err := io.ReadFull(c.r, long[8-extra:]); err != nil {
			return f, err
		}
		n = binary.BigEndian.Uint64(long)
	}
	mask := make([]byte, 4)
	if f.masked {
		if _, err := io.ReadFull(c.r, mask); err != nil {
			return f, err
		}
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return f, err
	}
	for i := range data {
		data[i] ^= mask[i%4]
	}
	f.data = string(data)
	return f, nil
}

// wants reads frames and compares them.
func (c *wsEnd) wants(frames ...wsFrame) error {
	for i, want := range frames {
		got, err := c.recv()
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if got != want {
			return fmt.Errorf("frame %d is %v, want %v", i, got, want)
		}
	}
	return nil
}

// over reads to the end, behind which nothing may be.
func (c *wsEnd) over() error {
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the end", len(rest))
	}
	return err
}

// A wsStage is where conversations take place: an application behind a mesh, whose half
// of a case runs when its path is asked for.
type wsStage struct {
	mu    sync.Mutex
	halfs map[string]func(*wsEnd) error
	ended map[string]chan error
}

func (s *wsStage) put(path string, half func(*wsEnd) error) <-chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := make(chan error, 1)
	s.halfs[path], s.ended[path] = half, ended
	return ended
}

// ServeHTTP takes a WebSocket over HTTP/1.1 or over a stream of HTTP/2.
func (s *wsStage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	half, ended := s.halfs[r.URL.Path], s.ended[r.URL.Path]
	s.mu.Unlock()
	if half == nil {
		http.NotFound(w, r)
		return
	}
	if r.ProtoMajor == 2 {
		if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" {
			ended <- fmt.Errorf("%s with protocol %q", r.Method, r.Header.Get(":protocol"))
			return
		}
		w.WriteHeader(http.StatusOK)
		control := http.NewResponseController(w)
		_ = control.Flush()
		ended <- half(&wsEnd{
			r: bufio.NewReader(r.Body), w: flushing{w, control},
			abort: func() error { panic(http.ErrAbortHandler) },
		})
		return
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		ended <- err
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	tcp := nc.(*net.TCPConn)
	ended <- half(&wsEnd{r: rw.Reader, w: nc, finish: tcp.CloseWrite, abort: func() error { tcp.SetLinger(0); return tcp.Close() }})
}

type flushing struct {
	io.Writer
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.control.Flush())
}

// upgrade begins a conversation over HTTP/1.1.
func upgrade(t *testing.T, front, path string) *wsEnd {
	t.Helper()
	nc := dial(t, front)
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %v, %v", res, err)
	}
	return &wsEnd{r: r, w: nc, client: true, finish: nc.CloseWrite, abort: func() error { nc.SetLinger(0); return nc.Close() }}
}

// extendedConnect begins one on a stream of HTTP/2 (RFC 8441).
func extendedConnect(t *testing.T, front, path string) *wsEnd {
	t.Helper()
	nc := dial(t, front)
	p, err := rawh2.NewClient(nc, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Framer.WriteWindowUpdate(0, 1<<30), p.Headers(1, false,
		":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "payments", ":path", path,
		"sec-websocket-version", "13")); err != nil {
		t.Fatal(err)
	}
	s := newWSStream(p)
	if status, err := s.head(); err != nil || status != "200" {
		t.Fatalf("the answer is %q, %v", status, err)
	}
	go s.read()
	t.Cleanup(func() {
		nc.Close()
		s.in.Close() // what comes now is for nobody
		<-s.over
	})
	return &wsEnd{
		r: bufio.NewReader(s.in), w: s, client: true, finish: s.finish,
		abort: func() error { s.mu.Lock(); defer s.mu.Unlock(); return p.Framer.WriteRSTStream(1, http2.ErrCodeCancel) },
	}
}
