package socket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

var past = time.Unix(1, 0)

// An outcome is what can be seen of a call, in the words of both kinds of
// connection.
func outcome(n int, err error) string {
	switch err {
	case nil:
		return fmt.Sprint(n)
	case io.EOF: //nolint:errorlint // exactly: callers compare so too
		return fmt.Sprint(n, " EOF")
	}
	var timeout net.Error
	is := func(target error) bool { return errors.Is(err, target) }
	return fmt.Sprintf("%d closed=%t deadline=%t net.Error=%t timeout=%t reset=%t pipe=%t", n, is(net.ErrClosed),
		is(os.ErrDeadlineExceeded), errors.As(err, &timeout), timeout != nil && timeout.Timeout(),
		is(syscall.ECONNRESET), is(syscall.EPIPE))
}

// scripts are done to a fresh pair and return what could be seen.
var scripts = []struct {
	name string
	do   func(t *testing.T, p pair) []string
}{
	{"read what was written", func(_ *testing.T, p pair) []string {
		_, _ = p.other.Write([]byte("hello"))
		b := make([]byte, 16)
		n, err := p.ours.Read(b)
		return []string{outcome(n, err), string(b[:n])}
	}},
	{"read into nothing", func(_ *testing.T, p pair) []string {
		n, err := p.ours.Read(nil)
		return []string{outcome(n, err)}
	}},
	{"write nothing", func(_ *testing.T, p pair) []string {
		n, err := p.ours.Write(nil)
		return []string{outcome(n, err)}
	}},
	{"the other end ends its side", func(_ *testing.T, p pair) []string {
		_, _ = p.other.Write([]byte("x"))
		_ = p.other.CloseWrite()
		var all []string
		for range 3 {
			n, err := p.ours.Read(make([]byte, 4))
			all = append(all, outcome(n, err))
		}
		n, err := p.ours.Write([]byte("still here")) // half-closed: the other direction goes on
		back := make([]byte, 10)
		_, _ = io.ReadFull(p.other, back)
		return append(all, outcome(n, err), string(back))
	}},
	{"we end our side", func(_ *testing.T, p pair) []string {
		half := p.ours.(interface{ CloseWrite() error }).CloseWrite()
		n, err := p.ours.Write([]byte("x"))
		_, _ = p.other.Write([]byte("y"))
		m, readErr := p.ours.Read(make([]byte, 4))
		return []string{fmt.Sprint(half), outcome(n, err), outcome(m, readErr)}
	}},
	{"read after our close", func(_ *testing.T, p pair) []string {
		_ = p.ours.Close()
		n, err := p.ours.Read(make([]byte, 4))
		m, writeErr := p.ours.Write([]byte("x"))
		return []string{outcome(n, err), outcome(m, writeErr)}
	}},
	{"our close ends a read under way", func(_ *testing.T, p pair) []string {
		started := make(chan struct{})
		done := make(chan string)
		go func() {
			close(started)
			n, err := p.ours.Read(make([]byte, 4))
			done <- outcome(n, err)
		}()
		<-started
		runtime.Gosched()
		_ = p.ours.Close()
		return []string{<-done}
	}},
	{"our close ends a write under way", func(t *testing.T, p pair) []string {
		p.smallBuffers(t)
		done := make(chan string)
		started := make(chan struct{})
		go func() {
			close(started)
			n, err := p.ours.Write(make([]byte, 4<<20))
			done <- outcome(min(n, 0), err) // how much fits is the kernel's business
		}()
		<-started
		_, _ = io.ReadFull(p.other, make([]byte, 1<<10)) // it is writing
		_ = p.ours.Close()
		return []string{<-done}
	}},
	{"a deadline in the past", func(_ *testing.T, p pair) []string {
		_ = p.ours.SetDeadline(past)
		n, err := p.ours.Read(make([]byte, 4))
		m, writeErr := p.ours.Write([]byte("x"))
		return []string{outcome(n, err), outcome(m, writeErr)}
	}},
	{"a read deadline in the past, with bytes at hand", func(_ *testing.T, p pair) []string {
		_, _ = p.other.Write([]byte("x"))
		_ = p.ours.SetReadDeadline(past)
		n, err := p.ours.Read(make([]byte, 4))
		_ = p.ours.SetReadDeadline(time.Time{}) // lifted: it goes on
		m, again := p.ours.Read(make([]byte, 4))
		return []string{outcome(n, err), outcome(m, again)}
	}},
	{"a read deadline that comes", func(_ *testing.T, p pair) []string {
		_ = p.ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		n, err := p.ours.Read(make([]byte, 4))
		return []string{outcome(n, err)}
	}},
	{"a deadline ends a read under way", func(_ *testing.T, p pair) []string {
		done := make(chan string)
		started := make(chan struct{})
		go func() {
			close(started)
			n, err := p.ours.Read(make([]byte, 4))
			done <- outcome(n, err)
		}()
		<-started
		runtime.Gosched()
		_ = p.ours.SetReadDeadline(past)
		return []string{<-done}
	}},
	{"a write deadline while the socket is full", func(t *testing.T, p pair) []string {
		p.smallBuffers(t)
		b := make([]byte, 4<<20)
		_ = p.ours.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := p.ours.Write(b)
		if n == 0 || n == len(b) {
			t.Errorf("%d bytes fit", n)
		}
		// What was reported as written arrives, and no more.
		_ = p.ours.Close()
		arrived, _ := io.Copy(io.Discard, p.other)
		return []string{outcome(0, err), fmt.Sprint(arrived == int64(n))}
	}},
	{"the other end resets", func(_ *testing.T, p pair) []string {
		_ = p.other.SetLinger(0)
		_ = p.other.Close()
		n, err := p.ours.Read(make([]byte, 4))
		m, writeErr := p.ours.Write([]byte("x"))
		return []string{outcome(n, err), outcome(m, writeErr)}
	}},
	{"the other end has closed and does not take what we write", func(t *testing.T, p pair) []string {
		_ = p.other.Close()
		n, err := p.ours.Read(make([]byte, 4))
		var writeErr error
		for range 1000 { // the first is answered by a reset
			if _, writeErr = p.ours.Write(make([]byte, 1<<10)); writeErr != nil {
				break
			}
		}
		if writeErr == nil {
			t.Error("writes to a closed connection go on")
		}
		broken := errors.Is(writeErr, syscall.EPIPE) || errors.Is(writeErr, syscall.ECONNRESET)
		return []string{outcome(n, err), fmt.Sprint(broken)}
	}},
	{"close twice", func(_ *testing.T, p pair) []string {
		return []string{fmt.Sprint(p.ours.Close()), fmt.Sprint(errors.Is(p.ours.Close(), net.ErrClosed))}
	}},
	{"a full socket that is read slowly", func(t *testing.T, p pair) []string {
		p.smallBuffers(t)
		sent := make([]byte, 1<<20)
		for i := range sent {
			sent[i] = byte(i * 31 >> 3)
		}
		done := make(chan string)
		go func() {
			n, err := p.ours.Write(sent)
			_ = p.ours.(interface{ CloseWrite() error }).CloseWrite()
			done <- outcome(n, err)
		}()
		got, err := io.ReadAll(io.MultiReader(&slow{p.other}, p.other))
		return []string{<-done, outcome(len(got), err), fmt.Sprint(bytes.Equal(got, sent))}
	}},
}

// slow reads a few bytes at a time.
type slow struct{ r io.Reader }

func (s *slow) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), 500)]) }

func TestAWrappedConnectionBehavesAsOneOfPackageNet(t *testing.T) {
	if len(scripts) < 17 {
		t.Fatalf("only %d scripts", len(scripts))
	}
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			want := s.do(t, newPair(t, plain))
			got := s.do(t, newPair(t, socket.Wrap))
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Errorf("wrapped: %q\npackage net: %q", got, want)
			}
		})
	}
}

func TestErrorsSayWhatWasDoneToWhom(t *testing.T) {
	p := newPair(t, socket.Wrap)
	_ = p.other.SetLinger(0)
	_ = p.other.Close()
	_, err := p.ours.Read(make([]byte, 1))
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != p.other.LocalAddr().String() {
		t.Errorf("error %v", err)
	}
}

// Random bytes in random pieces through random buffers, both ways at once.
func TestRandomTraffic(t *testing.T) {
	const bytesEachWay = 2 << 20
	for _, w := range wraps {
		t.Run(w.name, func(t *testing.T) {
			p := newPair(t, w.wrap)
			p.smallBuffers(t)
			var wg sync.WaitGroup
			for seed, ends := range [][2]net.Conn{{p.ours, p.other}, {p.other, p.ours}} {
				from, to := ends[0], ends[1]
				wg.Go(func() { // the sender
					data, sizes := source(uint64(seed)), rand.New(rand.NewPCG(1, uint64(seed)))
					for left := bytesEachWay; left > 0; {
						b := make([]byte, min(left, 1+sizes.IntN(40_000)))
						data(b)
						n, err := from.Write(b)
						if n != len(b) || err != nil {
							t.Errorf("write of %d: %d, %v", len(b), n, err)
							return
						}
						left -= n
					}
					_ = from.(interface{ CloseWrite() error }).CloseWrite()
				})
				wg.Go(func() { // the receiver
					data, sizes := source(uint64(seed)), rand.New(rand.NewPCG(2, uint64(seed)))
					total := 0
					for {
						b := make([]byte, 1+sizes.IntN(20_000))
						n, err := to.Read(b)
						want := make([]byte, n)
						data(want)
						if !bytes.Equal(b[:n], want) {
							t.Errorf("other bytes after %d", total)
							return
						}
						if total += n; err != nil {
							if !errors.Is(err, io.EOF) || total != bytesEachWay {
								t.Errorf("after %d bytes: %v", total, err)
							}
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// source fills buffers with bytes that depend on the seed and the place only.
func source(seed uint64) func([]byte) {
	r := rand.New(rand.NewPCG(seed, 7))
	return func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
}

func TestReadsAndWritesDoNotAllocate(t *testing.T) {
	p := newPair(t, socket.Wrap)
	b, back := make([]byte, 100), make([]byte, 100)
	round := func() {
		if _, err := p.ours.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(p.other, back); err != nil {
			t.Fatal(err)
		}
		if _, err := p.other.Write(back); err != nil {
			t.Fatal(err)
		}
		if n, err := p.ours.Read(b); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

func TestOtherConnectionsStayAsTheyAre(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if socket.Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
	if _, err := socket.Wrap(nc).Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that was closed before: %v", err)
	}
}

// The socket and its options are within reach, as package http1 needs them.
func TestTheSocketIsWithinReach(t *testing.T) {
	p := newPair(t, socket.Wrap)
	if _, ok := p.ours.(syscall.Conn); !ok {
		t.Errorf("%T is no syscall.Conn", p.ours)
	}
	if _, ok := p.ours.(interface{ SetLinger(seconds int) error }); !ok {
		t.Errorf("%T has no SetLinger", p.ours)
	}
}

// What was cut off must not look complete: neither as TCP nor as TLS.
func TestAbortResets(t *testing.T) {
	p := newPair(t, socket.Wrap)
	inner := tls.Server(p.ours, &tls.Config{MinVersion: tls.VersionTLS13}) // no handshake was made
	socket.Abort(inner)
	socket.Abort(inner)
	n, err := p.other.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end reads %d, %v", n, err)
	}
	if _, err := p.ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("our end reads %v", err)
	}
	a, b := net.Pipe()
	defer b.Close()
	socket.Abort(a) // has no linger
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end of a pipe reads %v", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, w := range wraps {
		b.Run(w.name, func(b *testing.B) {
			p := newPair(b, w.wrap)
			buf := make([]byte, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.ours.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(p.other, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
