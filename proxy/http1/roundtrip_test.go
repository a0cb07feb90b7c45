package http1

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// A sample is a message that is generated, and what of it must arrive.
type sample struct {
	start    string // the request or status line
	raw      string // all of it, as sent
	method   string
	target   string
	status   int
	fields   map[string][]string // those that pass
	body     string
	trailers map[string][]string // those that pass
}

// generator makes valid messages. Its seed makes it repeatable.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 1))} }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

// bytesOf returns up to n bytes of a class.
func (g generator) bytesOf(class message.Class, n int) string {
	var b []byte
	for range g.IntN(n + 1) {
		c := byte(g.IntN(256))
		if class.Has(c) {
			b = append(b, c)
		}
	}
	return string(b)
}

func (g generator) request() sample {
	m := sample{
		method: g.pick("GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "X-"+g.bytesOf(message.Token, 8)),
		target: "/" + strings.ReplaceAll(g.bytesOf(message.Target, 60), "%", "%25"),
	}
	if m.method == "OPTIONS" && g.chance(20) {
		m.target = "*"
	}
	m.start = m.method + " " + m.target + " HTTP/1.1\r\n"
	host := g.pick("a", "a.example:80", "[::1]:8080", "127.0.0.1")
	how := g.pick("none", "none", "length", "chunks")
	g.render(&m, how, []string{g.pick("Host", "host", "HOST") + g.pick(":", ": ", ":\t ") + host})
	return m
}

func (g generator) response(method string) sample {
	m := sample{status: []int{200, 200, 200, 201, 204, 304, 404, 500, 599}[g.IntN(9)], method: method}
	m.start = fmt.Sprintf("HTTP/1.1 %d %s\r\n", m.status, g.bytesOf(message.Value, 20))
	how := g.pick("length", "length", "chunks", "chunks", "close")
	if m.status == 204 || m.status == 304 || method == http.MethodHead {
		how = "none"
	}
	g.render(&m, how, nil)
	if g.chance(10) {
		m.raw = "HTTP/1.1 103 Early Hints\r\nLink: </" + g.bytesOf(message.Token, 20) + ">\r\n\r\n" + m.raw
	}
	return m
}

// render writes the message with that framing.
func (g generator) render(m *sample, how string, lines []string) {
	m.fields, m.trailers = map[string][]string{}, map[string][]string{}
	for i := range g.IntN(12) {
		name := fmt.Sprintf("X-%d%s", i, g.bytesOf(message.Token, 12))
		lines = append(lines, g.field(m.fields, name))
	}
	lines = append(lines, g.droppedLines()...)
	if how != "none" {
		m.body = g.body()
	}
	switch how {
	case "length":
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(m.body)))
	case "chunks":
		lines = append(lines, g.pick("Transfer-Encoding: chunked", "transfer-encoding:Chunked\t"))
	case "close":
		lines = append(lines, "Connection: close")
	}
	// The order of fields with the same name matters; these all differ.
	g.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	m.raw = m.start + strings.Join(lines, "\r\n") + "\r\n\r\n"
	if len(lines) == 0 {
		m.raw = m.start + "\r\n"
	}
	if how == "chunks" {
		m.raw += g.chunks(m)
	} else {
		m.raw += m.body
	}
}

// field returns a field line that passes, and notes it.
func (g generator) field(into map[string][]string, name string) string {
	value := message.TrimOWS(g.bytesOf(message.Value, 40))
	key := textproto.CanonicalMIMEHeaderKey(name)
	into[key] = append(into[key], value)
	return name + ":" + g.pick("", " ", "\t", "  ") + value + g.pick("", " ", "\t")
}

// droppedLines are fields that must not arrive.
func (g generator) droppedLines() []string {
	var lines []string
	add := func(line string) {
		if g.chance(25) {
			lines = append(lines, line)
		}
	}
	add("Keep-Alive: timeout=5")
	add("Proxy-Connection: keep-alive")
	add("Upgrade: h2c")
	add("TE: gzip")
	add("x-forwarded-client-cert: By=spiffe://a/b")
	add("X_Forwarded_Client_Cert: By=spiffe://a/b")
	add("X-Outrider-" + g.bytesOf(message.Token, 9) + ": x")
	add("x_outrider_peer: spiffe://a/b")
	if g.chance(25) {
		lines = append(lines, "Connection: nominated-1 , Nominated-2", "Nominated-1: a", "nominated-2: b", "NOMINATED-2: c")
	}
	return lines
}

// body is mostly small, and sometimes larger than every buffer.
func (g generator) body() string {
	n := g.IntN(100)
	switch {
	case g.chance(20):
		n = g.IntN(5_000)
	case g.chance(3):
		n = 30_000 + g.IntN(60_000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return string(b)
}

func (g generator) chunks(m *sample) string {
	var b strings.Builder
	for rest := m.body; len(rest) > 0; {
		n := 1 + g.IntN(min(len(rest), 1+g.IntN(20_000)))
		fmt.Fprintf(&b, g.pick("%x%s\r\n", "%X%s\r\n", "00%x%s\r\n"), n, g.pick("", "", ";a=b", ";q=\"x y\""))
		b.WriteString(rest[:n] + "\r\n")
		rest = rest[n:]
	}
	return b.String() + g.trailer(m)
}

func (g generator) trailer(m *sample) string {
	lines := []string{g.pick("0", "000", "0;last")}
	for i := range g.IntN(4) * g.IntN(2) {
		lines = append(lines, g.field(m.trailers, fmt.Sprintf("T-%d", i)))
	}
	if g.chance(10) {
		lines = append(lines, "X-Outrider-Peer: x", "Content-Length: 5", "Set-Cookie: a")
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// segments bounds what one read or write moves; 0 is no bound. What it returns is
// for one goroutine.
func segments(seed uint64, most int) func() int {
	if most == 0 {
		return nil
	}
	g := newGenerator(seed)
	return func() int { return 1 + g.IntN(most) }
}

// exchangeApp answers with what it is told and notes what it got.
type exchangeApp struct {
	mu     sync.Mutex
	answer sample
	got    sample
	err    error
}

func (a *exchangeApp) serve(nc *memnet.Conn, br *bufio.Reader) {
	for {
		got, err := a.read(br)
		a.mu.Lock()
		a.got, a.err = got, err
		answer := a.answer
		a.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := io.WriteString(nc, answer.raw); err != nil || strings.Contains(answer.raw, "Connection: close") {
			return
		}
	}
}

func (a *exchangeApp) read(br *bufio.Reader) (sample, error) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return sample{}, err
	}
	body, err := io.ReadAll(req.Body)
	return sample{
		method: req.Method, target: req.RequestURI, body: string(body),
		fields: passed(req.Header), trailers: passed(req.Trailer),
	}, err
}

// passed are the fields less those that frame.
func passed(h http.Header) map[string][]string {
	all := map[string][]string{}
	for name, values := range h {
		if name != "Content-Length" {
			all[name] = values
		}
	}
	return all
}

func TestRandomMessagesPassUnchanged(t *testing.T) {
	const messages, perConnection = 2400, 24
	count := 0
	for n := range messages / perConnection {
		g := newGenerator(uint64(n))
		// Four in six connections move everything in pieces, one by single bytes.
		most := []int{0, 0, 20_000, 700, 9, 1}[n%6]
		count += exchangeMany(t, g, most, perConnection)
		if t.Failed() {
			t.Fatalf("with seed %d", n)
		}
	}
	if count < 2000 {
		t.Errorf("%d exchanges, want at least 2000", count)
	}
}

func exchangeMany(t *testing.T, g generator, most, messages int) (count int) {
	app := new(exchangeApp)
	l := limits.Default()
	l.UpstreamConnections = 1 // one that is not given back is found at once
	r := newRig(t, l, func(nc *memnet.Conn, br *bufio.Reader) {
		nc.LimitReads(segments(1, most))
		app.serve(nc, br)
	})
	r.segments = func() func() int { return segments(2, most) }
	defer r.close()
	client, _ := r.connect()
	client.LimitReads(segments(3, most))
	br := bufio.NewReader(client)
	for range messages {
		request := g.request()
		answer := g.response(request.method)
		app.mu.Lock()
		app.answer = answer
		app.mu.Unlock()
		r.wg.Go(func() { _, _ = io.WriteString(client, request.raw) })
		got, err := readFinal(br, request.method)
		if err != nil {
			t.Errorf("the answer to %.200q, which is %.200q: %v", request.raw, answer.raw, err)
			return count
		}
		app.mu.Lock()
		compareMessages(t, "request", request, app.got)
		app.mu.Unlock()
		compareMessages(t, "answer", answer, got)
		if t.Failed() {
			return count
		}
		count++
	}
	return count
}

// readFinal reads the final response behind any number of interim ones.
func readFinal(br *bufio.Reader, method string) (sample, error) {
	for {
		res, body, err := hear(br, method)
		if err != nil {
			return sample{}, err
		}
		if res.StatusCode/100 == 1 {
			continue
		}
		return sample{
			method: method, status: res.StatusCode, body: body,
			fields: passed(res.Header), trailers: passed(res.Trailer),
		}, nil
	}
}

func compareMessages(t *testing.T, what string, sent, got sample) {
	t.Helper()
	if got.method != sent.method || got.target != sent.target || got.status != sent.status {
		t.Errorf("%s: %q %q %d arrived as %q %q %d", what, sent.method, sent.target, sent.status, got.method, got.target, got.status)
	}
	if got.body != sent.body {
		t.Errorf("%s: a body of %d bytes arrived as one of %d", what, len(sent.body), len(got.body))
	}
	if diff := cmp.Diff(sent.fields, got.fields); diff != "" {
		t.Errorf("%s: fields (- sent, + arrived):\n%s\nof %q", what, diff, sent.raw[:min(len(sent.raw), 2000)])
	}
	if diff := cmp.Diff(sent.trailers, got.trailers); diff != "" {
		t.Errorf("%s: trailers (- sent, + arrived):\n%s", what, diff)
	}
}

// The generator must make what the test is about.
func TestGeneratorMakesEveryKindOfMessage(t *testing.T) {
	wanted := []string{
		"chunked", "Content-Length", "Connection: close", "HTTP/1.1 103", "nominated", "x-forwarded-client-cert",
		"x_outrider_peer", "OPTIONS *", "HEAD /", "HTTP/1.1 204", "HTTP/1.1 304", "T-1:", ";q=\"x y\"",
	}
	var all strings.Builder
	for n := range 100 {
		g := newGenerator(uint64(n))
		for range 5 {
			m := g.request()
			all.WriteString(m.raw + g.response(m.method).raw)
		}
	}
	if i := slices.IndexFunc(wanted, func(s string) bool { return !strings.Contains(all.String(), s) }); i >= 0 {
		t.Errorf("no message with %q", wanted[i])
	}
}
