package target

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// tcpCaller is one connection to a server that echoes.
type tcpCaller struct {
	t     *Target
	conn  net.Conn // nil after a failure
	buf   []byte
	leash leash
}

func (t *Target) openTCP(ctx context.Context) (Caller, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &tcpCaller{t: t, conn: conn, buf: make([]byte, len(t.opts.Body))}, nil
}

// errEcho: what came back is not what was sent.
var errEcho = errors.New("what came back is not what was sent")

// Call implements [Caller].
func (c *tcpCaller) Call(ctx context.Context) (Answer, error) {
	if c.conn != nil && !c.leash.hold(ctx, c.conn) {
		c.drop()
	}
	if c.conn == nil {
		conn, err := c.t.dial(ctx)
		if err != nil {
			return Answer{}, err
		}
		c.conn = conn
		c.leash.hold(ctx, conn)
	}
	if err := c.echo(); err != nil {
		c.drop()
		return Answer{}, failed(ctx, err)
	}
	return Answer{Bytes: int64(len(c.buf))}, nil
}

// drop gives up a connection of no use any more.
func (c *tcpCaller) drop() {
	c.leash.release()
	_ = c.conn.Close()
	c.conn = nil
}

func (c *tcpCaller) echo() error {
	if err := c.conn.SetDeadline(time.Now().Add(c.t.opts.Timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.t.opts.Body); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.conn, c.buf); err != nil {
		return err
	}
	if !bytes.Equal(c.buf, c.t.opts.Body) {
		return errEcho
	}
	return nil
}

// Close implements [Caller].
func (c *tcpCaller) Close() error {
	if c.conn == nil {
		return nil
	}
	if !c.leash.release() {
		_ = c.conn.Close() // closed already, perhaps
		return nil
	}
	return c.conn.Close()
}
