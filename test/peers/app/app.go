// Package app is the workload behind the hop: an HTTP/1.1 server that does as
// little as possible, so that the machine's time is left to the proxies.
//
// GET /N answers with N bytes; nothing else of HTTP is spoken. Responses are
// made beforehand and each goes out in one write.
package app

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// maxHead bounds a request's head in bytes; proxies add some headers to the
	// few hundred bytes the generator sends.
	maxHead = 16 << 10
	// idle closes a connection nobody speaks on. Longer than any run, so that
	// no proxy meets a connection closed under it.
	idle = 2 * time.Hour
)

// A Server answers with prepared responses.
type Server struct {
	responses map[string][]byte // by request target, read-only
}

// New prepares a server for the body sizes, in bytes.
func New(sizes []int) *Server {
	s := &Server{responses: make(map[string][]byte, len(sizes))}
	for _, size := range sizes {
		s.responses["/"+strconv.Itoa(size)] = response(size)
	}
	return s
}

func response(size int) []byte {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
	return append([]byte(head), Body(size)...)
}

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

// Serve answers connections until the listener is closed, then closes those
// that are open and returns nil once all are done.
func (s *Server) Serve(ln net.Listener) error {
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
			s.serve(conn)
			conn.Close()
			mu.Lock()
			delete(open, conn)
			mu.Unlock()
		})
	}
}

var headEnd = []byte("\r\n\r\n")

// serve answers requests until the peer is done or says something unexpected;
// the generator sees the latter as an error, so it needs no report here.
func (s *Server) serve(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(idle)) != nil {
		return
	}
	buf, n := make([]byte, maxHead), 0
	for {
		end := bytes.Index(buf[:n], headEnd)
		if end < 0 {
			if n == len(buf) {
				return
			}
			got, err := conn.Read(buf[n:])
			if err != nil {
				return
			}
			n += got
			continue
		}
		if _, err := conn.Write(s.answer(buf[:end])); err != nil {
			return
		}
		n = copy(buf, buf[end+len(headEnd):n])
	}
}

// answer picks the response for a request head.
func (s *Server) answer(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	target, ok := bytes.CutPrefix(line, []byte("GET "))
	target, _, found := bytes.Cut(target, []byte(" "))
	if response := s.responses[string(target)]; ok && found && response != nil {
		return response
	}
	return notFound
}

var notFound = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
