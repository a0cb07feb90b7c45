package wire

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Through real devices: what is sent arrives in spite of losses, and the path has
// carried it.
func TestTCPPassesBetweenTwoNamespaces(t *testing.T) {
	netns.NeedsRoot(t)
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("NOT CHECKED: %v", err)
	}
	near, err := There(t.Context(), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	far, err := There(t.Context(), "192.0.2.2")
	if err != nil {
		t.Fatal(err)
	}
	w := Join(t.Context(), near, far, 1)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	w.Set(Path{Delay: time.Millisecond, Loss: 0.02})
	ln, err := far.Listen(t.Context(), "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const size = 300_000
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Write(make([]byte, size))
	}()
	var c net.Conn
	near.In(func() {
		var d net.Dialer
		c, err = d.DialContext(t.Context(), "tcp4", ln.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if n, err := io.Copy(io.Discard, c); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
	there, back := w.Counts()
	if there.Packets < 20 || back.Packets < size/mtu || back.Lost == 0 {
		t.Errorf("carried %+v and %+v", there, back)
	}
}
