package http1

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// selfSigned returns a configuration for both ends of a test connection.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"a"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	return server, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "a"}
}

// serveTCP serves one connection over TCP, or TLS over it, and returns the
// client's end.
func serveTCP(t *testing.T, secure bool, handle func(*Exchange)) net.Conn {
	t.Helper()
	serverTLS, clientTLS := selfSigned(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		nc, err := ln.Accept()
		ln.Close()
		if err != nil {
			t.Error(err)
			return
		}
		nc = socket.Wrap(nc)
		if secure {
			nc = tls.Server(nc, serverTLS)
		}
		_ = testServer(limits.Default()).NewConn(nc).Serve(handle)
	})
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		client = tls.Client(client, clientTLS)
	}
	t.Cleanup(func() {
		client.Close()
		wg.Wait()
	})
	return client
}

// What CleanCloseMeansUnprocessed promises: an end in order is said only behind
// a complete answer, or in place of any.
func TestOnlyAnOrderlyEndLooksOrderly(t *testing.T) {
	for name, c := range map[string]struct {
		secure  bool
		handle  func(*Exchange)
		request string
		orderly bool
	}{
		"TLS and an answer that closes":       {true, func(x *Exchange) { _ = x.Respond(204, nil, nil) }, get("Connection: close\r\n"), true},
		"TLS and an abort":                    {true, (*Exchange).Abort, get(""), false},
		"TLS and a handler without an answer": {true, func(*Exchange) {}, get(""), false},
		"TCP and an answer that closes":       {false, func(x *Exchange) { _ = x.Respond(204, nil, nil) }, get("Connection: close\r\n"), true},
		"TCP and an abort":                    {false, (*Exchange).Abort, get(""), false},
	} {
		t.Run(name, func(t *testing.T) {
			client := serveTCP(t, c.secure, c.handle)
			if _, err := io.WriteString(client, c.request); err != nil {
				t.Fatal(err)
			}
			_, err := io.ReadAll(client)
			if c.orderly != (err == nil) {
				t.Errorf("the client read to %v, want an orderly end: %v", err, c.orderly)
			}
			if !c.orderly && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the client read to %v, want a reset or a truncation", err)
			}
		})
	}
}

// What follows a request and is none must not take the answer away, as a reset may.
func TestHalfARequestDoesNotResetTheAnswerBeforeIt(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "TLS"}[secure], func(t *testing.T) {
			client := serveTCP(t, secure, func(x *Exchange) {
				if x.Err != nil {
					x.Abort()
					return
				}
				_ = x.Respond(200, nil, []byte("yes"))
			})
			if _, err := io.WriteString(client, get("")+`{"a":"b"}`); err != nil {
				t.Fatal(err)
			}
			if err := socket.CloseWrite(client); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(client); err != nil || !strings.HasSuffix(string(answer), "yes") {
				t.Errorf("the client read %q to %v, want the answer and an orderly end", answer, err)
			}
		})
	}
}

func TestKeepAliveOverTLS(t *testing.T) {
	var calls atomic.Int32
	client := serveTCP(t, true, func(x *Exchange) {
		calls.Add(1)
		_ = x.Respond(200, nil, []byte("yes"))
	})
	br := bufio.NewReader(client)
	for range 3 {
		if _, err := io.WriteString(client, get("")); err != nil {
			t.Fatal(err)
		}
		want(t, br, 200, "yes")
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
