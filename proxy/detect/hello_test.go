package detect_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/detect"
)

// helloOf is what a client of the standard library says first.
func helloOf(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		defer client.Close()
		_ = tls.Client(client, config).Handshake() // nobody answers
	}()
	b := make([]byte, 32<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// offered sends bytes in pieces and returns what Offered makes of them; what was
// sent must be there to be read again.
func offered(t *testing.T, b, sizes []byte) ([]string, error) {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pieces(client, b, sizes)
	}()
	protocols, replay, err := detect.Offered(server, time.Minute)
	got, readErr := io.ReadAll(replay)
	if readErr != nil || !bytes.Equal(got, b) {
		t.Errorf("read back %d bytes, %v; sent %d", len(got), readErr, len(b))
	}
	replay.Close()
	<-done
	return protocols, err
}

func TestOfferedProtocolsAreThoseOfTheHello(t *testing.T) {
	cases := []struct {
		name   string
		config *tls.Config
	}{
		{"none", &tls.Config{ServerName: "a"}},
		{"one", &tls.Config{ServerName: "a", NextProtos: []string{"outrider/1+tcp"}}},
		{"some", &tls.Config{ServerName: "a", NextProtos: []string{"h2", "http/1.1"}}},
		{"TLS 1.2", &tls.Config{ServerName: "a", NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12}},
		{"many", &tls.Config{ServerName: "a", NextProtos: slices.Repeat([]string{strings.Repeat("x", 200)}, 50)}},
	}
	if len(cases) < 5 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hello := helloOf(t, c.config)
			for _, sizes := range [][]byte{{1}, {255}, {5, 100}} {
				got, err := offered(t, append(hello, "and more"...), sizes)
				if err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(c.config.NextProtos, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestWhatIsNoHelloOffersNothing(t *testing.T) {
	hello := helloOf(t, &tls.Config{ServerName: "a", NextProtos: []string{"h2"}})
	for name, b := range map[string][]byte{
		"plaintext":       []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		"half a hello":    hello[:len(hello)/2],
		"another record":  append([]byte{0x17}, hello[1:]...),
		"an endless one":  append([]byte{0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 64<<10)...),
		"nothing at all":  nil,
		"a broken length": append(slices.Clone(hello[:6]), append([]byte{0xff}, hello[7:]...)...),
	} {
		if got, err := offered(t, b, []byte{255}); err == nil || len(got) > 0 {
			t.Errorf("%s offers %q, %v", name, got, err)
		}
	}
}

func TestAClientThatIsSlowWithItsHelloIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		start := time.Now()
		if _, _, err := detect.Offered(server, patience); err == nil || time.Since(start) != patience {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Whatever comes is read again, and what is offered was said.
func FuzzOffered(f *testing.F) {
	f.Add(helloOf(f, &tls.Config{ServerName: "a", NextProtos: []string{"outrider/1+tcp", "http/1.1"}}), []byte{1, 7, 255})
	f.Add([]byte("\x16\x03\x01\x00\x00"), []byte{1})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{4})
	f.Fuzz(func(t *testing.T, b, sizes []byte) {
		protocols, err := offered(t, b, sizes)
		if err != nil && len(protocols) > 0 {
			t.Errorf("%q, and %v", protocols, err)
		}
		for _, p := range protocols {
			if !bytes.Contains(b, []byte(p)) {
				t.Errorf("%q was not said", p)
			}
		}
	})
}
