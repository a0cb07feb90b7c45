package socket

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Conn is a TCP connection with its own way to read and write; all else is that
// of the connection within.
type Conn struct {
	*net.TCPConn
	raw         syscall.RawConn
	read, write transfer
}

// transfer is one read or write under way. It belongs to the goroutine that
// reads, or writes, at the moment.
type transfer struct {
	buf   []byte
	n     int
	errno syscall.Errno
	// try makes one attempt; it is made once per connection, as a closure per
	// call would be allocated.
	try func(fd uintptr) (done bool)
}

func wrapTCP(tcp *net.TCPConn) net.Conn {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return tcp // closed already: its own Read says so
	}
	c := &Conn{TCPConn: tcp, raw: raw}
	c.read.try = c.tryRead
	c.write.try = c.tryWrite
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := &c.read
	t.buf = b
	err := c.raw.Read(t.try)
	t.buf = nil
	switch {
	case err != nil:
		return 0, err
	case t.errno != 0:
		return 0, c.failure("read", t.errno)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

func (c *Conn) tryRead(fd uintptr) bool {
	t := &c.read
	for {
		t.n, t.errno = call(syscall.SYS_READ, fd, t.buf)
		if t.errno != syscall.EINTR {
			return t.errno != syscall.EAGAIN
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := &c.write
	t.buf, t.errno = b, 0
	err := c.raw.Write(t.try)
	n := len(b) - len(t.buf)
	t.buf = nil
	if err == nil && t.errno != 0 {
		err = c.failure("write", t.errno)
	}
	return n, err
}

// tryWrite writes until all is written or the socket is full.
func (c *Conn) tryWrite(fd uintptr) bool {
	t := &c.write
	for len(t.buf) > 0 {
		n, errno := call(syscall.SYS_WRITE, fd, t.buf)
		switch errno {
		case 0:
			if n == 0 { // the kernel does not do that to a socket; package net doesn't trust it either
				t.errno = syscall.EIO
				return true
			}
			t.buf = t.buf[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errno = errno
			return true
		}
	}
	return true
}

// call reads into b or writes from it. The socket is non-blocking, as all of
// package net are. A write to a socket that the peer has closed raises SIGPIPE,
// which the runtime ignores for all descriptors but 1 and 2.
func call(number, fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // the pattern that package unsafe allows for system calls
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (c *Conn) failure(op string, errno syscall.Errno) error {
	return &net.OpError{
		Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno),
	}
}
