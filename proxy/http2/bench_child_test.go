package http2

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// runChild is the process of BenchmarkUnary: two proxies in front of an
// application, until its input ends.
func runChild(task string) error {
	words := strings.Fields(task)
	engine, hop, app := words[0], words[1], words[2]
	listen := startEngine
	if engine == "reverseproxy" {
		listen = startReverseProxy
	}
	var server, client *tls.Config
	if hop == "tls" {
		var err error
		if server, client, err = selfSigned(); err != nil {
			return err
		}
	}
	second, err := listen(server, nil, app)
	if err != nil {
		return err
	}
	first, err := listen(nil, client, second)
	if err != nil {
		return err
	}
	fmt.Println(first)
	if name := os.Getenv(childEnv + "_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
	return nil
}

func startEngine(in, out *tls.Config, next string) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	buffers := new(Buffers)
	pool := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: limits.Default(), Buffers: buffers},
		Dial: func(ctx context.Context) (Dialed, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", next)
			if err != nil {
				return Dialed{}, err
			}
			nc = socket.Wrap(nc)
			if out == nil {
				return Dialed{Conn: nc}, nil
			}
			tc := tls.Client(nc, out)
			return Dialed{Conn: tc, FromSidecar: true}, tc.HandshakeContext(ctx)
		},
	})
	server := NewServer(ServerOptions{Limits: limits.Default(), Buffers: buffers})
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc = socket.Wrap(nc)
			if in != nil {
				nc = tls.Server(nc, in)
			}
			go func() {
				_ = server.NewConn(nc).Serve(func(x *Exchange) { relayTo(context.Background(), pool, x) })
			}()
		}
	}()
	return ln.Addr().String(), nil
}

func startReverseProxy(in, out *tls.Config, next string) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	target := &url.URL{Scheme: "http", Host: next}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	if out != nil {
		target.Scheme = "https"
	}
	s := &http.Server{
		Protocols: protocols, TLSConfig: in, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: &httputil.ReverseProxy{
			FlushInterval: -1,
			Transport:     &http.Transport{Protocols: protocols, TLSClientConfig: out},
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		},
	}
	go func() {
		if in != nil {
			_ = s.ServeTLS(ln, "", "")
			return
		}
		_ = s.Serve(ln)
	}()
	return ln.Addr().String(), nil
}

// selfSigned is both ends' configuration for TLS between the two proxies.
func selfSigned() (server, client *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	protocols := []string{"h2"}
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   protocols, MinVersion: tls.VersionTLS13,
	}
	client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: protocols, MinVersion: tls.VersionTLS13}
	return server, client, nil
}
