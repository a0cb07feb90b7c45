package conformance_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// http2App answers as its path says.
func http2App(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch path, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); path {
	case "bytes":
		n, _ := strconv.Atoi(arg)
		_, _ = w.Write(payload(n).GetBody())
	case "status":
		n, _ := strconv.Atoi(arg)
		w.WriteHeader(n)
	case "early":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "late")
	case "trailers":
		w.Header().Set("Trailer", "X-Sum")
		_, _ = fmt.Fprintf(w, "%d bytes, trailer %q", len(body), r.Trailer.Get("X-In"))
		w.Header().Set("X-Sum", strconv.Itoa(len(body)))
	default:
		_, _ = fmt.Fprintf(w, "%s %s %s %d", r.Method, r.RequestURI, r.Host, len(body))
	}
}

// A programCase is a command line behind the address of the engine, and what its
// output must and must not match.
type programCase struct {
	name string
	args []string
	// stdin is the length of the body that is piped in; -1 for none.
	stdin   int
	want    string
	wantNot string
}

// One request for each connection: a second one over HTTP/2 without TLS is a framing
// error to curl 7.88, whatever the server.
var curlHTTP2Cases = []programCase{
	{"get", []string{"$/a?b=c"}, -1, `^GET /a\?b=c 127\.0\.0\.1:\d+ 0$`, ""},
	{"head", []string{"-I", "$/bytes/1000"}, -1, `HTTP/2 200[\s\S]*content-length: 1000`, ""},
	{"a body", []string{"-d", "hello", "$/x"}, -1, `^POST /x 127\.0\.0\.1:\d+ 5$`, ""},
	{"an empty body", []string{"-X", "PUT", "-d", "", "$/x"}, -1, `^PUT /x 127\.0\.0\.1:\d+ 0$`, ""},
	{"a body of unknown length", []string{"-T", "-", "$/x"}, 300_000, `^PUT /x 127\.0\.0\.1:\d+ 300000$`, ""},
	{"a large body", []string{"--data-binary", "@-", "$/x"}, 10_000_000, `^POST /x 127\.0\.0\.1:\d+ 10000000$`, ""},
	{"an expectation", []string{"-H", "Expect: 100-continue", "--data-binary", "@-", "$/x"}, 2_000_000, `^POST /x 127\.0\.0\.1:\d+ 2000000$`, ""},
	{"204", []string{"-i", "$/status/204"}, -1, `^HTTP/2 204`, ""},
	{"304", []string{"-i", "$/status/304"}, -1, `^HTTP/2 304`, ""},
	{"418", []string{"-i", "$/status/418"}, -1, `^HTTP/2 418`, ""},
	{"early hints", []string{"-i", "$/early"}, -1, `^HTTP/2 103 \r\nlink: [\s\S]*HTTP/2 200[\s\S]*late$`, ""},
	{"trailers", []string{"-d", "hello", "$/trailers"}, -1, `^5 bytes, trailer ""$`, ""},
	{"another host", []string{"-H", "Host: shop:80", "$/a"}, -1, `^GET /a shop:80 0$`, ""},
	{"a field over the limit of a head", []string{"-i", "-H", "X-Large: " + strings.Repeat("x", 40_000), "$/a"}, -1, `^HTTP/2 431`, ""},
	{"a field far over the limit", []string{"-i", "-H", "X-Large: " + strings.Repeat("x", 100_000), "$/a"}, -1, ``, `HTTP/2 200`},
	{"no upgrade from HTTP/1.1", []string{"--http2", "-i", "$/a"}, -1, ``, `HTTP/2 200`},
	{"HTTP/1.1", []string{"--http1.1", "-i", "$/a"}, -1, ``, `200`},
}

func TestCurlSpeaksHTTP2(t *testing.T) {
	runPrograms(t, program(t, "curl"), curlHTTP2Cases, func(addr string, args []string) []string {
		all := []string{"-sS", "--max-time", "20"}
		if !strings.HasPrefix(args[0], "--http") {
			all = append(all, "--http2-prior-knowledge")
		}
		return append(all, addressed(addr, args)...)
	})
	atLeast(t, "cases of curl", len(curlHTTP2Cases), 17)
}

var nghttpCases = []programCase{
	{"get", []string{"$/a?b=c"}, -1, `GET /a\?b=c 127\.0\.0\.1:\d+ 0`, ""},
	{"trailers both ways", []string{"-v", "-d", "@body", "--trailer", "x-in: abc", "$/trailers"}, -1, `100 bytes, trailer "abc"[\s\S]*x-sum: 100`, ""},
	{"padding", []string{"-b", "200", "-d", "@body", "$/x"}, -1, `POST /x 127\.0\.0\.1:\d+ 100`, ""},
	{"small windows", []string{"-w", "10", "-W", "11", "-n", "-s", "$/bytes/300000"}, -1, `200 +29\dK`, ""},
	{"no content-length", []string{"--no-content-length", "-d", "@body", "$/x"}, -1, `POST /x 127\.0\.0\.1:\d+ 100`, ""},
	{"an expectation", []string{"--expect-continue", "-d", "@body", "$/x"}, -1, `POST /x 127\.0\.0\.1:\d+ 100`, ""},
	{"a head in two frames", []string{"--continuation", "$/x"}, -1, `GET /x 127\.0\.0\.1:\d+ 0`, ""},
	{"no compression", []string{"-c", "0", "$/x"}, -1, `GET /x 127\.0\.0\.1:\d+ 0`, ""},
	{"weights", []string{"-p", "16", "$/x"}, -1, `GET /x 127\.0\.0\.1:\d+ 0`, ""},
	{"several at a time", []string{"-m", "20", "-n", "-s", "$/bytes/20000"}, -1, `200 +19K`, ""},
}

func TestNghttp(t *testing.T) {
	name := program(t, "nghttp")
	body := bodyFile(t)
	runPrograms(t, name, nghttpCases, func(addr string, args []string) []string {
		all := []string{"--timeout=20"}
		for _, arg := range addressed(addr, args) {
			if arg == "@body" {
				arg = body
			}
			all = append(all, arg)
		}
		return all
	})
	atLeast(t, "cases of nghttp", len(nghttpCases), 10)
}

// bodyFile is a body of 100 bytes.
func bodyFile(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// addressed puts the address of the engine in place of "$".
func addressed(addr string, args []string) []string {
	var all []string
	for _, arg := range args {
		if rest, ok := strings.CutPrefix(arg, "$"); ok {
			arg = "http://" + addr + rest
		}
		all = append(all, arg)
	}
	return all
}

func runPrograms(t *testing.T, name string, cases []programCase, line func(addr string, args []string) []string) {
	addr := startEngine(t, startHTTP2App(t, http.HandlerFunc(http2App)))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), name, line(addr, c.args)...)
			if c.stdin >= 0 {
				cmd.Stdin = bytes.NewReader(make([]byte, c.stdin))
			}
			out, err := cmd.CombinedOutput()
			if c.wantNot == "" && err != nil {
				t.Errorf("%v: %.300s", err, out)
			}
			if !regexp.MustCompile(c.want).Match(out) {
				t.Errorf("%.500s does not match %s", out, c.want)
			}
			if c.wantNot != "" && regexp.MustCompile(c.wantNot).Match(out) {
				t.Errorf("%.500s matches %s", out, c.wantNot)
			}
		})
	}
}

// h2load opens many streams at a time.
func TestH2load(t *testing.T) {
	name := program(t, "h2load")
	addr := startEngine(t, startHTTP2App(t, http.HandlerFunc(http2App)))
	const requests = 4000
	body := bodyFile(t)
	for _, args := range [][]string{
		{"-c", "1", "-m", "1", "-n", "200"},
		{"-c", "4", "-m", "100", "-n", strconv.Itoa(requests)},
		{"-c", "16", "-m", "10", "-n", strconv.Itoa(requests), "-d", body},
		{"-c", "2", "-m", "50", "-w", "12", "-W", "14", "-n", "1000"},
	} {
		all := append(append([]string{"-t", "1"}, args...), "http://"+addr+"/bytes/3000")
		out, err := exec.CommandContext(t.Context(), name, all...).CombinedOutput()
		done := regexp.MustCompile(`requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, 0 failed, 0 errored`).FindSubmatch(out)
		if err != nil || done == nil || !bytes.Equal(done[1], done[2]) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
