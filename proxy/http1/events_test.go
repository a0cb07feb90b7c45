package http1

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

const (
	firstEvent  = "data: 1\n\n"
	secondEvent = "data: 2\n\n"
)

// eventApp sends a first event, and the second when it has been told that the first
// was seen and some time has gone by.
func eventApp(contentType string, seen chan struct{}, pause time.Duration) func(*memnet.Conn, *bufio.Reader) {
	return func(nc *memnet.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Type: "+contentType+"\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n"+firstEvent+"\r\n")
		<-seen
		<-time.After(pause)
		_, _ = io.WriteString(nc, "9\r\n"+secondEvent+"\r\n0\r\n\r\n")
	}
}

// events asks for the answer of an eventApp. It returns how the second event was
// received, and whether the engine knew what it was carrying.
func events(t *testing.T, contentType string, pause time.Duration) (second string, known bool, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan struct{})
		r := newRig(t, limits.Default(), eventApp(contentType, seen, pause))
		defer r.close()
		r.handle = func(x *Exchange) {
			r.forward(x)
			known = x.Events
		}
		client, _ := r.connect()
		say(t, client, get(""))
		res, rerr := http.ReadResponse(bufio.NewReader(client), nil)
		if rerr != nil {
			t.Fatal(rerr)
		}
		defer res.Body.Close()
		first := make([]byte, len(firstEvent))
		if _, rerr := io.ReadFull(res.Body, first); string(first) != firstEvent {
			t.Fatalf("%q, %v before the second event exists", first, rerr)
		}
		close(seen)
		var rest []byte
		rest, err = io.ReadAll(res.Body)
		second = string(rest)
		client.Close()
	})
	return second, known, err
}

func TestEventsPassWhenTheyHappen(t *testing.T) {
	// Far beyond what a body may stand still, within what a stream may.
	pause := limits.Default().StreamIdleTimeout / 2
	second, known, err := events(t, "text/event-stream; charset=utf-8", pause)
	if second != secondEvent || err != nil || !known {
		t.Errorf("then %q, %v, known %t", second, err, known)
	}
	if _, _, err := events(t, "text/event-stream", 3*limits.Default().StreamIdleTimeout); err == nil {
		t.Error("a stream may stand still for ever")
	}
	if _, known, err := events(t, "text/plain", pause); err == nil || known {
		t.Errorf("a body may stand still as long as a stream: %v, known %t", err, known)
	}
}
