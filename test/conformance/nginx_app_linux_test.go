package conformance_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

const nginxApp = `
  server {
    listen {listen0};
    root {dir}/html;
    client_max_body_size 12m;
    large_client_header_buffers 4 2k;
    error_page 404 /not-found.html;
    location /stored/ { dav_methods PUT DELETE; create_full_put_path on; }
    location /gzip/ { alias {dir}/html/; gzip on; gzip_min_length 1; gzip_types text/plain; }
    location /until-close/ { alias {dir}/html/; gzip on; gzip_min_length 1; gzip_types text/plain; chunked_transfer_encoding off; }
    location /small-uploads { client_max_body_size 1k; return 200; }
    location = /moved { return 301 /text.txt; }
    location = /nothing { return 204; }
    location = /broken { return 500 "broken"; }
    location = /unavailable { return 503; }
    location = /reset { return 444; }
    location = /teapot { return 418 "short and stout"; }
    location = /limited { limit_except GET { deny all; } return 200 "limited"; }
  }
  server {
    listen {listen1};
    root {dir}/html;
    keepalive_timeout 20ms;
    location = /any { return 200 "any"; }
  }
  server {
    listen {listen2};
    root {dir}/html;
    keepalive_requests 2;
  }
  server {
    listen {listen3};
    location = /any {
      if ($connection_requests = 2) { return 444; }
      return 200 "any";
    }
  }
`

const largeFile = 50 << 20

// nginxFiles fills a directory to serve and returns what is in it.
func nginxFiles(t *testing.T, dir string) (text []byte, largeSum string) {
	t.Helper()
	html := mkdir(t, filepath.Join(dir, "html"))
	mkdir(t, filepath.Join(html, "stored"))
	text = []byte(strings.Repeat(greeting, 200))
	writeFile(t, filepath.Join(html, "text.txt"), text)
	writeFile(t, filepath.Join(html, "empty.txt"), nil)
	writeFile(t, filepath.Join(html, "not-found.html"), []byte("there is no such page\n"))
	large := random(largeFile)
	writeFile(t, filepath.Join(html, "large.bin"), large)
	return text, digest(large)
}

// An exchange is one request of a Go client and what is wanted of the answer.
type exchange struct {
	name    string
	method  string // GET if empty
	path    string
	header  string // "name: value"
	body    []byte
	status  int
	want    []byte // the whole body, where it is not nil
	answers string // a header of the answer, "name: value" or a beginning of that
}

func (x exchange) run(t *testing.T, client *http.Client, base string) {
	t.Helper()
	method := x.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+x.path, bytes.NewReader(x.body))
	if err != nil {
		t.Fatal(err)
	}
	if name, value, ok := strings.Cut(x.header, ": "); ok {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != x.status {
		t.Errorf("status %d, want %d: %.200q", res.StatusCode, x.status, got)
	}
	if x.want != nil && !bytes.Equal(got, x.want) {
		t.Errorf("a body of %d bytes, want %d: %.100q", len(got), len(x.want), got)
	}
	if name, value, ok := strings.Cut(x.answers, ": "); ok && !strings.HasPrefix(res.Header.Get(name), value) {
		t.Errorf("%s is %q, want %q", name, res.Header.Get(name), value)
	}
}

// newClient is a client that does nothing by itself: no redirects, no decoding.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func TestNginxBehindASidecar(t *testing.T) {
	dir, addrs := nginx(t, 4, nginxApp)
	text, largeSum := nginxFiles(t, dir)
	upload := random(bigSize)
	client := newClient(t)

	t.Run("one request after the other", func(t *testing.T) {
		m := startMesh(t, meshOptions{App: addrs[0], Protocol: "HTTP"})
		base := "http://" + m.Front
		ran := 0
		for _, x := range nginxExchanges(t, client, base, text, upload) {
			ran++
			t.Run(x.name, func(t *testing.T) { x.run(t, client, base) })
		}
		atLeast(t, "exchanges with nginx", ran, 30)
		t.Run("an answer that never comes", func(t *testing.T) {
			exchange{path: "/reset", status: http.StatusBadGateway, answers: "Proxy-Status: outrider; error=connection_terminated"}.run(t, client, base)
		})
	})
	t.Run("a file of 50 MB", func(t *testing.T) {
		m := startMesh(t, meshOptions{App: addrs[0], Protocol: "HTTP"})
		largeAnswer(t, client, "http://"+m.Front, largeSum)
	})
	t.Run("idle connections that nginx closes", func(t *testing.T) {
		m := startMesh(t, meshOptions{App: addrs[1], Protocol: "HTTP"})
		stale(t, "http://"+m.Front)
		t.Logf("%d requests were repeated on a fresh connection", repeated(t, m))
	})
	t.Run("connections that nginx closes under a request", func(t *testing.T) {
		m := startMesh(t, meshOptions{App: addrs[3], Protocol: "HTTP"})
		base := "http://" + m.Front
		for range 10 {
			for _, method := range idempotent() {
				exchange{method: method, path: "/any", status: 200}.run(t, client, base)
			}
		}
		testkit.Eventually(t, "20 requests were repeated on a fresh connection", func() bool { return repeated(t, m) >= 20 })
		// One of two POSTs meets the connection that closes, and is not repeated.
		statuses := map[int]int{}
		for range 2 {
			res, err := client.Post(base+"/any", "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			statuses[res.StatusCode]++
		}
		if statuses[http.StatusOK] != 1 || statuses[http.StatusBadGateway] != 1 {
			t.Errorf("the answers to POST were %v, want one 200 and one 502", statuses)
		}
	})
	t.Run("two requests a connection", func(t *testing.T) {
		m := startMesh(t, meshOptions{App: addrs[2], Protocol: "HTTP"})
		for range 50 {
			exchange{path: "/text.txt", status: 200, want: text}.run(t, client, "http://"+m.Front)
		}
	})
}

func nginxExchanges(t *testing.T, client *http.Client, base string, text, upload []byte) []exchange {
	t.Helper()
	res, err := client.Get(base + "/text.txt")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	etag, modified := res.Header.Get("ETag"), res.Header.Get("Last-Modified")
	last := fmt.Sprintf("bytes %d-%d/%d", len(text)-10, len(text)-1, len(text))
	return []exchange{
		{name: "a file", path: "/text.txt", status: 200, want: text, answers: "Server: nginx"},
		{name: "an empty file", path: "/empty.txt", status: 200, want: []byte{}},
		{name: "HEAD of a file", method: "HEAD", path: "/text.txt", status: 200, want: []byte{}, answers: fmt.Sprintf("Content-Length: %d", len(text))},
		{name: "HEAD of an empty file", method: "HEAD", path: "/empty.txt", status: 200, want: []byte{}, answers: "Content-Length: 0"},
		{name: "a range", path: "/text.txt", header: "Range: bytes=10-19", status: 206, want: text[10:20], answers: "Content-Range: bytes 10-19/"},
		{name: "the last bytes", path: "/text.txt", header: "Range: bytes=-10", status: 206, want: text[len(text)-10:], answers: "Content-Range: " + last},
		{name: "several ranges", path: "/text.txt", header: "Range: bytes=0-1,4-5", status: 206, answers: "Content-Type: multipart/byteranges"},
		{name: "a range beyond the end", path: "/text.txt", header: "Range: bytes=9999999-", status: 416, answers: "Content-Range: bytes */"},
		{name: "a range of a large file", path: "/large.bin", header: "Range: bytes=1000000-3999999", status: 206, answers: "Content-Length: 3000000"},
		{name: "not modified by tag", path: "/text.txt", header: "If-None-Match: " + etag, status: 304, want: []byte{}, answers: "ETag: " + etag},
		{name: "not modified by date", path: "/text.txt", header: "If-Modified-Since: " + modified, status: 304, want: []byte{}},
		{name: "HEAD not modified", method: "HEAD", path: "/text.txt", header: "If-None-Match: " + etag, status: 304, want: []byte{}},
		{name: "modified by tag", path: "/text.txt", header: `If-None-Match: "other"`, status: 200, want: text},
		{name: "a condition that fails", path: "/text.txt", header: `If-Match: "other"`, status: 412},
		{name: "compressed in chunks", path: "/gzip/text.txt", header: "Accept-Encoding: gzip", status: 200, answers: "Content-Encoding: gzip"},
		{name: "HEAD of what would be compressed", method: "HEAD", path: "/gzip/text.txt", header: "Accept-Encoding: gzip", status: 200, want: []byte{}},
		{name: "uncompressed from the same place", path: "/gzip/text.txt", status: 200, want: text},
		{name: "compressed until the connection closes", path: "/until-close/text.txt", header: "Accept-Encoding: gzip", status: 200, answers: "Content-Encoding: gzip"},
		{name: "a page for what is missing", path: "/missing", status: 404, want: []byte("there is no such page\n")},
		{name: "HEAD of what is missing", method: "HEAD", path: "/missing", status: 404, want: []byte{}},
		{name: "moved", path: "/moved", status: 301, answers: "Location: http"},
		{name: "nothing", path: "/nothing", status: 204, want: []byte{}},
		{name: "broken", path: "/broken", status: 500, want: []byte("broken")},
		{name: "unavailable, by nginx", path: "/unavailable", status: 503, answers: "Content-Type: text/html"},
		{name: "a teapot", path: "/teapot", status: 418, want: []byte("short and stout")},
		{name: "a method that is not allowed", method: "POST", path: "/text.txt", body: []byte("x"), status: 405},
		{name: "a method that is denied", method: "DELETE", path: "/limited", status: 403},
		{name: "a file is stored", method: "PUT", path: "/stored/small", body: []byte("small"), status: 201},
		{name: "and read", path: "/stored/small", status: 200, want: []byte("small")},
		{name: "and replaced", method: "PUT", path: "/stored/small", body: upload, status: 204},
		{name: "and read, 10 MB of it", path: "/stored/small", status: 200, want: upload},
		{name: "and deleted", method: "DELETE", path: "/stored/small", status: 204},
		{name: "and gone", path: "/stored/small", status: 404},
		{name: "an upload that is too large by its length", method: "PUT", path: "/small-uploads", body: upload[:64<<10], status: 413},
		{name: "a target that is too long for nginx", path: "/" + strings.Repeat("x", 4000), status: 414},
	}
}

// largeAnswer fetches the large file and compares its sum.
func largeAnswer(t *testing.T, client *http.Client, base, want string) {
	t.Helper()
	res, err := client.Get(base + "/large.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, res.Body)
	if got := hex.EncodeToString(sum.Sum(nil)); err != nil || n != largeFile || got != want {
		t.Errorf("%d bytes of %d with the sum %s, want %s: %v", n, largeFile, got, want, err)
	}
}

// idempotent methods may be repeated by whoever is not sure (RFC 9110 §9.2.2).
func idempotent() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions}
}

// repeated counts the requests that the inbound sidecar sent a second time.
func repeated(t *testing.T, m *mesh) (n int) {
	t.Helper()
	for _, r := range m.In.Log.Records(t) {
		if r["retried"] == true {
			n++
		}
	}
	return n
}

// stale asks again and again just when nginx closes the idle connections that
// the inbound sidecar keeps. What may be repeated never fails.
func stale(t *testing.T, base string) {
	methods := idempotent()
	const seed = 7
	var done counter
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			client := newClient(t)
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range 40 {
				method := methods[r.IntN(len(methods))]
				var body []byte
				if method == http.MethodPut {
					body = bytes.Repeat([]byte("x"), r.IntN(600))
				}
				// nginx closes what was idle for 20 ms.
				<-time.After(time.Duration(10+r.IntN(15)) * time.Millisecond)
				req, err := http.NewRequestWithContext(t.Context(), method, base+"/any", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
				answer, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 {
					t.Errorf("%s: status %d, %q, %v", method, res.StatusCode, answer, err)
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	done.atLeast(t, "requests around the end of idle connections", 320)
}
