package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// A capture port that is called by its own address would call itself.
func TestCapturePortsRefuseWhatWasNotRedirected(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	s := testkit.Start(t, testkit.Options{
		Name: "payments", Source: ca.Source(t, payments),
		YAML: `  capture: {inboundPort: 25006, outboundPort: 25001, unknown: Passthrough}
  inbound: [{name: all, capture: true, mtls: Permissive}]
  outbound: [{name: everything, capture: true}]`,
	})
	addrs := []string{"127.0.0.1:25006", "127.0.0.1:25001"}
	if has6() {
		addrs = append(addrs, "[::1]:25006", "[::1]:25001")
	}
	for _, addr := range addrs {
		nc, err := net.DialTimeout("tcp", addr, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) || len(answer) > 0 {
			t.Errorf("%s answers %q, %v", addr, answer, err)
		}
	}
	testkit.Eventually(t, "a record of each", func() bool {
		n := 0
		for _, r := range s.Log.Records(t) {
			if r["reason"] == "not_redirected" && strings.Contains(r["detail"].(string), "was not redirected there") {
				n++
			}
		}
		return n == len(addrs)
	})
}

// has6 tells whether this machine has IPv6 on loopback.
func has6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EAFNOSUPPORT)
	}
	l.Close()
	return true
}
