package hop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// Host is the Host header of every request.
const Host = "app.bench.test"

const (
	// askTimeout is how long an answer may take in all.
	askTimeout = 10 * time.Second
	// maxAnswer bounds what is read of it, in bytes: the app's longest answer is
	// a MiB.
	maxAnswer = 1<<20 + 64<<10
)

// A Request is what is asked of a hop.
type Request struct {
	// Method and Target are of the request line.
	Method, Target string
	// Header are further fields, Body is what follows them.
	Header []target.Field
	Body   []byte
}

// Ask makes one request on a connection of its own and reads all of the answer.
// It is how a hop is looked at before it is loaded.
func Ask(ctx context.Context, addr string, r Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	// The context has a deadline of its own, and may end before it.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(r.render()); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// render writes the request as it goes over the wire.
func (r Request) render() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.Method, r.Target, Host)
	for _, f := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	if len(r.Body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}
