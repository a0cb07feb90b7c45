package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// talksBack answers with what it is sent, piece by piece as it comes.
func talksBack(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if r.ProtoMajor == 1 && c.EnableFullDuplex() != nil || c.Flush() != nil {
		return
	}
	buf := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil || c.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A conversation is a request of which a test sends a piece when the one before has
// come back.
type conversation struct {
	send   func(piece string)
	answer io.Reader
	end    func()
}

// converse begins one, over HTTP/1.1 or HTTP/2.
func converse(t *testing.T, addr string, http2 bool, path string) *conversation {
	t.Helper()
	if !http2 {
		w := dial(t, addr)
		w.send("POST " + path + " HTTP/1.1\r\nHost: payments\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
		return &conversation{
			send: func(piece string) { w.send(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)) },
			answer: &late{func() (io.Reader, error) {
				res, err := http.ReadResponse(w.r, nil)
				if err != nil {
					return nil, err
				}
				return res.Body, nil
			}, nil},
			end: func() { w.send("0\r\n\r\n") },
		}
	}
	body, pipe := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	transport := &http.Transport{Protocols: unencryptedHTTP2()}
	t.Cleanup(transport.CloseIdleConnections)
	answered := make(chan io.Reader, 1)
	go func() {
		res, err := transport.RoundTrip(req)
		if err != nil {
			answered <- strings.NewReader(err.Error())
			return
		}
		answered <- res.Body
	}()
	return &conversation{
		send: func(piece string) {
			if _, err := io.WriteString(pipe, piece); err != nil {
				t.Fatal(err)
			}
		},
		answer: &late{func() (io.Reader, error) { return <-answered, nil }, nil},
		end:    func() { pipe.Close() },
	}
}

// A late reader is there when it is first read.
type late struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *late) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

// exchange sends pieces, each when the one before has come back.
func (c *conversation) exchange(t *testing.T, pieces ...string) {
	t.Helper()
	for n, piece := range pieces {
		c.send(piece)
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(c.answer, got); err != nil || string(got) != piece {
			t.Fatalf("piece %d came back as %q, %v", n, got, err)
		}
	}
	c.end()
	if rest, err := io.ReadAll(c.answer); len(rest) > 0 || err != nil {
		t.Errorf("behind the end came %q, %v", rest, err)
	}
}

// ways are those a request can take to a sidecar.
var ways = []struct {
	name        string
	http2, quic bool
}{
	{"HTTP/1.1", false, false},
	{"HTTP/2", true, false},
	{"HTTP/1.1 over QUIC", false, true},
	{"HTTP/2 over QUIC", true, true},
}

// eachWay runs a test with an application that talksBack, over each of them.
func eachWay(t *testing.T, policy, spec string, run func(t *testing.T, p *pair, http2 bool)) {
	t.Helper()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			app := serveApp(t, talksBack)
			if way.http2 {
				app = serveHTTP2(t, talksBack)
			}
			out := side{}
			if way.quic {
				out.quic = "On"
			}
			run(t, newPair(t, side{forward: app, policies: allowMesh + next + inspection(policy), spec: spec}, out), way.http2)
		})
	}
}

// What policy only watches passes as it comes, in both directions, and is recorded as
// what it was.
func TestWhatIsOnlyWatchedIsNotHeld(t *testing.T) {
	eachWay(t, "mode: Detect, cpuMillis: 10000", "", func(t *testing.T, p *pair, http2 bool) {
		attack := `{"a":"` + sqlInjection + `"}` + "\n"
		converse(t, p.out.Address(t, "out"), http2, "/attack").exchange(t, "{\"a\":1}\n", attack, "{\"a\":2}\n")
		r := p.in.Log.Await(t, "the attack", func(r map[string]any) bool { return r["path"] == "/attack" })
		if field(r, "waf", "outcome") != "detected" || field(r, "waf", "rules") == nil || field(r, "waf", "uninspected") != nil ||
			field(r, "waf", "inspected_bytes") != float64(len(attack)+16) {
			t.Errorf("the record is %v", field(r, "waf"))
		}
		if r["status"] != 200.0 || r["reason"] != nil {
			t.Errorf("status %v, reason %v", r["status"], r["reason"])
		}
		converse(t, p.out.Address(t, "out"), http2, "/honest").exchange(t, "{\"a\":1}\n", "{\"a\":2}\n")
		r = p.in.Log.Await(t, "the honest one", func(r map[string]any) bool { return r["path"] == "/honest" })
		if field(r, "waf", "outcome") != "clean" || field(r, "waf", "inspected_bytes") != 16.0 {
			t.Errorf("the record is %v", field(r, "waf"))
		}
		counted(t, p.in, 1, "outrider_inspections_total", `outcome="detected"`, `reason="-"`)
		counted(t, p.in, 1, "outrider_inspections_total", `outcome="clean"`, `reason="-"`)
	})
}

// Of a body that may be refused the first bytes are held, and only they.
func TestWhatFollowsThePrefixIsNotHeld(t *testing.T) {
	eachWay(t, "mode: Block, cpuMillis: 10000, body: {inspectBytes: 64}", "", func(t *testing.T, p *pair, http2 bool) {
		prefix := strings.Repeat("{\"a\":1}\n", 8)
		c := converse(t, p.out.Address(t, "out"), http2, "/rest")
		c.send(prefix[:60])
		c.send(prefix[60:])
		got := make([]byte, len(prefix))
		if _, err := io.ReadFull(c.answer, got); err != nil || string(got) != prefix {
			t.Fatalf("the prefix came back as %q, %v", got, err)
		}
		c.exchange(t, "{\"a\":2}\n", "{\"a\":3}\n")
		r := p.in.Log.Await(t, "the stream", func(r map[string]any) bool { return r["path"] == "/rest" })
		if field(r, "waf", "outcome") != "clean" || field(r, "waf", "uninspected") != "body_over_cap" || field(r, "waf", "inspected_bytes") != 64.0 {
			t.Errorf("the record is %v", field(r, "waf"))
		}
	})
}

// An attack in the head is refused before a byte of the body is there, or asked for.
func TestAnAttackInTheHeadDoesNotWaitForTheBody(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, talksBack),
		policies: allowMesh + next + inspection("mode: Block, cpuMillis: 10000"),
	}.start(t)
	attack := "POST /?q=" + strings.ReplaceAll(sqlInjection, " ", "%20") + " HTTP/1.1\r\nHost: payments\r\n"
	for name, fields := range map[string]string{
		"a body of known length":   "Content-Length: 100\r\n",
		"a chunked body":           "Transfer-Encoding: chunked\r\n",
		"a client that asks first": "Content-Length: 100\r\nExpect: 100-continue\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
			w.send(attack + fields + "\r\n")
			w.answer().refused(t, 403, "waf_blocked") // the first answer, so no 100 was before it
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		c := meshH2(t, s.Address(t, "in"), ca.Source(t, checkout))
		c.must(c.Request(1, false, "POST", "/?q="+strings.ReplaceAll(sqlInjection, " ", "%20"), "content-length", "100", "expect", "100-continue"))
		a := c.answer(1)
		if len(a.Heads) != 1 || a.Last(":status") != "403" || !strings.Contains(string(a.Body), "waf_blocked") {
			t.Errorf("the answer is %+v, %q", a.Heads, a.Body)
		}
	})
	counted(t, s, 4, "outrider_inspections_total", `outcome="blocked"`)
}

// Where its length decides about a body, none of it is waited for.
func TestALengthThatDecidesIsNotWaitedFor(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	for overflow, decided := range map[string]func(w *wire){
		"Deny": func(w *wire) { w.answer().refused(t, 403, "waf_uninspected") },
		"Pass": func(w *wire) {
			w.send("hello")
			got := make([]byte, 5)
			res, err := http.ReadResponse(w.r, nil)
			if err == nil {
				_, err = io.ReadFull(res.Body, got)
			}
			if err != nil || string(got) != "hello" {
				t.Errorf("the first bytes came back as %q, %v", got, err)
			}
		},
	} {
		t.Run(overflow, func(t *testing.T) {
			s := side{
				source: ca.Source(t, payments), forward: serveApp(t, talksBack),
				policies: allowMesh + next + inspection("mode: Block, body: {inspectBytes: 64, overflow: "+overflow+"}"),
			}.start(t)
			w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
			w.send("POST / HTTP/1.1\r\nHost: payments\r\nContent-Length: 100\r\n\r\n")
			decided(w)
			w.Close()
			counted(t, s, 1, "outrider_inspections_total", `outcome="not_inspected"`, `reason="body_over_cap"`)
		})
	}
}

// A client that pauses while its body is held learns that it was too slow, and whoever
// reads the log, why and what to do.
func TestAPauseInAHeldBodyIsExplained(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, talksBack),
		policies: allowMesh + next + inspection("mode: Block"), spec: "  limits: {bodyTimeout: 100ms}\n",
	}.start(t)
	w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	w.send("POST / HTTP/1.1\r\nHost: payments\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"a\":1}\n\r\n")
	w.answer().refused(t, 408, "request_timeout")
	r := s.Log.AwaitReason(t, "request_timeout")
	detail, _ := r["detail"].(string)
	for _, want := range []string{"8 of 16384 bytes", "inspect", "Detect"} {
		if !strings.Contains(detail, want) {
			t.Errorf("the record does not say %q: %s", want, detail)
		}
	}
}

// Detect finds what Block does, however the body comes.
func TestDetectFindsWhatBlockRefuses(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, talksBack)
	sidecar := func(mode string) *testkit.Sidecar {
		return side{
			source: ca.Source(t, payments), forward: app,
			policies: allowMesh + next + inspection("mode: "+mode+", cpuMillis: 10000, body: {inspectBytes: 256}"),
			spec:     "  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
		}.start(t)
	}
	block, detect := sidecar("Block"), sidecar("Detect")
	attack := `{"note":"` + sqlInjection + `"}`
	honest := `{"note":"three coffees"}`
	long := `{"filler":"` + strings.Repeat("x", 300) + `"}`
	const json = "Content-Type: application/json\r\n"
	cases := []struct{ name, path, fields, body string }{
		{"honest", "", json, honest},
		{"SQL", "", json, attack},
		{"SQL in the head", "?q=" + strings.ReplaceAll(sqlInjection, " ", "%20"), json, honest},
		{"SQL in both", "?q=" + strings.ReplaceAll(sqlInjection, " ", "%20"), json, attack},
		{"SQL in a form", "", "Content-Type: application/x-www-form-urlencoded\r\n", "q=" + strings.ReplaceAll(sqlInjection, " ", "+")},
		{"over the cap", "", json, long},
		{"SQL within the cap", "", json, `[` + attack + `,` + long + `]`},
		{"SQL behind the cap", "", json, `[` + long + `,` + attack + `]`},
		{"just the cap", "", "Content-Type: text/plain\r\n", strings.Repeat("x", 256)},
		{"compressed", "", json + "Content-Encoding: gzip\r\n", gzipped(t, honest)},
		{"SQL, compressed", "", json + "Content-Encoding: gzip\r\n", gzipped(t, attack)},
		{"SQL, compressed, over the cap", "", json + "Content-Encoding: gzip\r\n", gzipped(t, `[`+attack+`,`+long+`]`)},
		{"a coding that is not undone", "", json + "Content-Encoding: compress\r\n", honest},
		{"broken", "", json, `{"note":`},
		{"empty", "", json, ""},
		{"bytes", "", "Content-Type: application/octet-stream\r\n", "\x00\x01\x02" + sqlInjection + "\xff\xfe"},
	}
	if len(cases) < 16 {
		t.Fatalf("only %d cases", len(cases))
	}
	framings := map[string]func(body string) string{
		"in one": func(b string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b), b) },
		"bytewise": func(b string) string {
			var s strings.Builder
			s.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for i := range len(b) {
				s.WriteString("1\r\n" + b[i:i+1] + "\r\n")
			}
			return s.String() + "0\r\n\r\n"
		},
	}
	for n, c := range cases {
		for framing, frame := range framings {
			path := fmt.Sprintf("/%d/%s", n, strings.ReplaceAll(framing, " ", "-"))
			request := "POST " + path + c.path + " HTTP/1.1\r\nHost: payments\r\n" + c.fields + frame(c.body)
			verdicts := map[*testkit.Sidecar]map[string]any{}
			for _, s := range []*testkit.Sidecar{block, detect} {
				w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
				w.send(request)
				a := w.answer()
				if s == detect && (a.StatusCode != 200 || a.body != c.body) {
					t.Errorf("%s, %s: the application's answer became %d, %q", c.name, framing, a.StatusCode, a.body)
				}
				w.Close()
				r := s.Log.Await(t, path, func(r map[string]any) bool { return r["path"] == path })
				verdicts[s], _ = r["waf"].(map[string]any)
			}
			b, d := verdicts[block], verdicts[detect]
			if b["outcome"] == "blocked" {
				b["outcome"] = "detected"
			}
			if diff := cmp.Diff(b, d); b == nil || diff != "" {
				t.Errorf("%s, %s: -Block +Detect\n%s", c.name, framing, diff)
			}
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
