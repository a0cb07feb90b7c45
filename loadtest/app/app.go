// Package app is the workload behind what is measured: an HTTP/1.1 server that
// does as little as possible, so that the machine's time is left to the proxies,
// and a TCP echo.
//
// Every request is answered with 200: its path /N with N bytes, any other with
// 1,024. Bodies with a Content-Length are read and thrown away. Answers are made
// beforehand and each goes out in one write.
package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// maxHead bounds a request's head in bytes; proxies add some headers to the
	// few hundred bytes the generator sends.
	maxHead = 16 << 10
	// defaultSize is the answer to a path that names no size, in bytes.
	defaultSize = 1024
	// maxSize is the longest answer that can be asked for, in bytes.
	maxSize = 1 << 20
	// idle closes a connection nobody speaks on. Longer than any run, so that
	// no proxy meets a connection closed under it.
	idle = 2 * time.Hour
)

// A Server serves HTTP and echoes.
type Server struct {
	mu        sync.Mutex
	responses map[int][]byte // by size; made when first asked for
}

// New returns a server.
func New() *Server { return &Server{responses: map[int][]byte{}} }

// Body is the body served for a size: printable, and not the same everywhere,
// so that a shifted or repeated part shows.
func Body(size int) []byte {
	const period = 61 // prime, so it never lines up with a buffer size
	body := make([]byte, size)
	for i := range body {
		body[i] = '0' + byte(i%period)
	}
	return body
}

// Serve answers HTTP connections until the listener is closed, then closes those
// that are open and returns nil once all are done.
func (s *Server) Serve(ln net.Listener) error { return serve(ln, s.http) }

// Echo is Serve for a listener on which all bytes come back.
func (s *Server) Echo(ln net.Listener) error {
	return serve(ln, func(conn net.Conn) {
		if conn.SetDeadline(time.Now().Add(idle)) == nil {
			_, _ = io.Copy(conn, conn) // whoever broke it off knows
		}
	})
}

func serve(ln net.Listener, handle func(net.Conn)) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		open = make(map[net.Conn]struct{})
	)
	defer func() {
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	}()
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a connection to the app: %w", err)
		}
		mu.Lock()
		open[conn] = struct{}{}
		mu.Unlock()
		wg.Go(func() {
			handle(conn)
			conn.Close()
			mu.Lock()
			delete(open, conn)
			mu.Unlock()
		})
	}
}

var headEnd = []byte("\r\n\r\n")

// http answers requests until the peer is done or says something unexpected;
// the generator sees the latter as an error, so it needs no report here.
func (s *Server) http(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(idle)) != nil {
		return
	}
	r := &reader{conn: conn, buf: make([]byte, maxHead)}
	for {
		head, ok := r.head()
		if !ok {
			return
		}
		target, length, ok := parse(head)
		response := s.answer(target) // before the head is overwritten
		if bytes.HasPrefix(head, []byte("HEAD ")) {
			response = response[:bytes.Index(response, headEnd)+len(headEnd)]
		}
		if !ok || !r.skip(length) {
			return
		}
		if _, err := conn.Write(response); err != nil {
			return
		}
	}
}

// reader takes requests from a connection.
type reader struct {
	conn net.Conn
	buf  []byte
	n    int // bytes of buf that were read
	used int // and used
}

// head returns the next head without its last empty line. It is valid until the
// next call of skip.
func (r *reader) head() ([]byte, bool) {
	r.n = copy(r.buf, r.buf[r.used:r.n])
	r.used = 0
	for {
		if end := bytes.Index(r.buf[:r.n], headEnd); end >= 0 {
			r.used = end + len(headEnd)
			return r.buf[:end], true
		}
		if r.n == len(r.buf) || !r.more() {
			return nil, false
		}
	}
}

func (r *reader) more() bool {
	got, err := r.conn.Read(r.buf[r.n:])
	r.n += got
	return err == nil
}

// skip throws the next length bytes away.
func (r *reader) skip(length int64) bool {
	here := min(length, int64(r.n-r.used))
	r.used += int(here)
	for length -= here; length > 0; length -= int64(r.used) {
		r.n, r.used = 0, 0
		if !r.more() {
			return false
		}
		r.used = int(min(length, int64(r.n)))
	}
	return true
}

// parse reads what matters of a head.
func parse(head []byte) (target []byte, length int64, ok bool) {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	_, target, _ = bytes.Cut(line, []byte(" "))
	target, _, ok = bytes.Cut(target, []byte(" "))
	for len(fields) > 0 && ok {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 63)
			length, ok = n, err == nil && n >= 0
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			ok = false // chunks are not for this server
		}
	}
	return target, length, ok
}

// answer picks the response for a target.
func (s *Server) answer(target []byte) []byte {
	path, _, _ := bytes.Cut(target, []byte("?"))
	size := defaultSize
	if n, err := strconv.Atoi(string(bytes.TrimPrefix(path, []byte("/")))); err == nil && n >= 0 && n <= maxSize {
		size = n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.responses[size] == nil {
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
		s.responses[size] = append([]byte(head), Body(size)...)
	}
	return s.responses[size]
}
