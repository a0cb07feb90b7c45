package capture

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// serveEnv makes the test's own binary one of the servers below.
const serveEnv = "OUTRIDER_CAPTURE_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		if err := serve(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	if dir, err := shared(); err == nil && dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// shared is a directory that every user can read. It holds the sidecar's binary
// and this test's.
var shared = sync.OnceValues(func() (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "outrider-capture-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "outrider"), "./cmd/outrider")
	build.Dir = "../../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return dir, err
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		return dir, err
	}
	return dir, os.WriteFile(filepath.Join(dir, "serve"), binary, 0o755)
})

// file is a path in the shared directory.
func file(t *testing.T, name string) string {
	t.Helper()
	dir, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// serve starts one of the servers below in a pod, as its application.
func (p *pod) serve(t *testing.T, kind, addr string) *program {
	t.Helper()
	s := p.start(t, application, nil, "env", serveEnv+"=1", file(t, "serve"), kind, addr)
	testkit.Eventually(t, kind+" on "+addr, func() bool { return strings.Contains(s.String(), "listening") })
	return s
}

// serveUDP starts an echo of packets.
func (p *pod) serveUDP(t *testing.T, addr string) {
	t.Helper()
	p.serve(t, "udp", addr)
}

// serve is the program: it serves until it is killed.
func serve(kind, addr string) error {
	switch kind {
	case "udp":
		return echoPackets(addr)
	case "call", "call-udp":
		return call(kind, addr)
	case "hold":
		return hold(addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	switch kind {
	case "https":
		c, err := certificate()
		if err != nil {
			return err
		}
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c}})
	case "greet":
		fmt.Println("listening")
		return greet(l)
	}
	fmt.Println("listening")
	server := http.Server{Handler: http.HandlerFunc(tell), ReadHeaderTimeout: patience}
	return server.Serve(l)
}

// tell says what arrived: by whom, by whose word.
func tell(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	fmt.Fprintf(w, "%s %s peer=%q from=%s\n", r.Method, r.URL.Path, r.Header.Get("X-Outrider-Peer"), host)
}

// greet speaks first, as mail and databases do, and then repeats lines.
func greet(l net.Listener) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer nc.Close()
			io.WriteString(nc, "220 who is it?\n")
			line, err := bufio.NewReader(nc).ReadString('\n')
			if err == nil {
				io.WriteString(nc, "250 "+line)
			}
		}()
	}
}

// echoPackets sends every packet back.
func echoPackets(addr string) error {
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	b := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return err
		}
		if _, err := pc.WriteTo(append([]byte("echo "), b[:n]...), from); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// call is the client of greet and of echoPackets: it waits for a greeting, if
// there is one to come, and prints what is answered.
func call(kind, addr string) error {
	protocol := "tcp"
	if kind == "call-udp" {
		protocol = "udp"
	}
	nc, err := net.DialTimeout(protocol, addr, patience)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	in := bufio.NewReader(nc)
	if protocol == "tcp" {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Print(line)
	}
	if _, err := io.WriteString(nc, "it is me\n"); err != nil {
		return err
	}
	line, err := in.ReadString('\n')
	fmt.Print(line)
	return err
}

// hold is a client of greet that says nothing more, until it is cut off.
func hold(addr string) error {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	fmt.Println("listening")
	_, err = in.ReadString('\n')
	fmt.Println("ended", err)
	return nil
}

// dial makes a call from a pod and returns what was printed.
func (p *pod) dial(t *testing.T, kind, addr string) (string, int) {
	t.Helper()
	return p.run(t, application, "env", serveEnv+"=1", file(t, "serve"), kind, addr)
}

// certificate is one that nobody can verify: TLS of the application's own.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"application"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
