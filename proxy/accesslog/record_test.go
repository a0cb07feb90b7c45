package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	payments = spiffeid.RequireFromString("spiffe://cluster.local/ns/shop/sa/payments")
	started  = time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.FixedZone("CET", 3600))
)

const checkout = "spiffe://cluster.local/ns/shop/sa/checkout"

// connection returns an inbound connection over mutual TLS.
func connection(protocol flow.Protocol) *flow.Connection {
	return &flow.Connection{
		ID: 17, Direction: flow.Inbound, Listener: "app", Opened: started,
		Remote:      netip.MustParseAddrPort("10.1.2.3:40000"),
		Destination: netip.MustParseAddrPort("10.1.2.4:8080"),
		Security:    flow.MutualTLS, Protocol: protocol, Local: payments, PeerID: checkout,
	}
}

// outbound returns a connection to a named destination.
func outbound(protocol flow.Protocol) *flow.Connection {
	conn := connection(protocol)
	conn.Direction, conn.Service, conn.Listener = flow.Outbound, "payments.shop:8080", "egress"
	conn.Destination = netip.MustParseAddrPort("[fd00::4]:8080")
	return conn
}

func served() *flow.Request {
	return &flow.Request{
		Conn: connection(flow.HTTP1), Started: started,
		Method: "POST", Host: "payments.shop:8080", DecisionID: "0123456789abcdefghij",
		Target: "/v1/charges?card=4111", Path: "/v1/charges", Query: "card=4111", Proto: "HTTP/1.1",
		Decision: authz.Decision{Allowed: true, Basis: authz.ByAllow, Policy: "shop/payments-callers", Rule: 1},
		Status:   201, Received: 512, Sent: 64,
		Upstream: netip.MustParseAddrPort("127.0.0.1:8080"),
		Trace:    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Times: flow.Times{
			Authorize: 300 * time.Nanosecond, Inspect: 48 * time.Microsecond, Connect: 2 * time.Microsecond,
			FirstByte: 1500 * time.Microsecond, Total: 2 * time.Millisecond,
		},
	}
}

func blocked() *flow.Request {
	req := served()
	req.Status, req.Sent, req.Upstream = 403, 90, netip.AddrPort{}
	req.Refusal = flow.Refusal{Reason: flow.WAFBlocked, Detail: "rule 942100 at ARGS:q"}
	req.Inspection = flow.Inspection{
		Outcome: flow.Blocked, Policy: "shop/waf", Refuse: true, Score: 10, Rules: []int{942100, 942190},
		Matches: []flow.Match{{Rule: 942100, Location: "ARGS:q", Decoded: "urlDecodeUni"}, {Rule: 942190, Location: "ARGS"}},
		Message: `SQL Injection Attack Detected via "libinjection"`, Location: "ARGS:q", Bytes: 512,
		Trial: &flow.Inspection{Outcome: flow.Detected, Policy: "shop/next", Score: 5, Rules: []int{1}, Bytes: 512},
	}
	return req
}

func unparsed() *flow.Request {
	return &flow.Request{
		Conn: connection(flow.HTTP1), Started: started, DecisionID: "0123456789abcdefghij",
		Target: "/search?q=secret", Status: 400,
		Refusal: flow.Refusal{Reason: flow.BadRequest, Detail: "bare LF in a head\n"},
	}
}

// everything has each member that a request's record can have.
func everything() *flow.Request {
	req := blocked()
	req.Conn = outbound(flow.HTTP1)
	req.Retried, req.Upgraded, req.Stream = true, true, flow.Upgrade
	req.Upstream = req.Conn.Destination
	req.Conn.Original, req.Conn.Passthrough = netip.MustParseAddrPort("[fd00::96]:80"), true
	req.Conn.QUIC = true
	req.Shadow = authz.Decision{Basis: authz.ByDeny, Policy: "shop/trial", Rule: 2}
	req.Inspection.Uninspected = flow.EngineError
	req.Inspection.Err = errors.New("out of memory")
	req.Times.TLS = time.Millisecond
	return req
}

// fixed returns a recorder whose ids are the same in every run.
func fixed() *recorder {
	ids := NewIDs()
	copy(ids.prefix[:], "testprefix")
	return &recorder{ids: ids}
}

func TestRecordsAreGolden(t *testing.T) {
	r := fixed()
	withQuery := fixed()
	withQuery.query = true
	denied := connection(flow.TCP)
	denied.Decision = authz.Decision{Basis: authz.NoAllowMatched, Rule: -1}
	denied.Refusal = flow.Refusal{Reason: flow.AccessDenied}
	opaque := outbound(flow.TCP)
	opaque.Decision = authz.Decision{Allowed: true, Basis: authz.ByDefault, Rule: -1}
	opaque.Received, opaque.Sent = 1<<40, math.MaxInt64
	opaque.Times = flow.Times{TLS: 900 * time.Microsecond, Total: 26 * time.Hour}
	plaintext := connection(flow.Undetected)
	plaintext.PeerID, plaintext.Local, plaintext.Security = "", spiffeid.ID{}, flow.Plaintext
	plaintext.Refusal.Reason = flow.PlaintextRefused
	unknown := outbound(flow.TCP)
	unknown.Service, unknown.Security, unknown.PeerID, unknown.Local = "", flow.Plaintext, "", spiffeid.ID{}
	unknown.Original, unknown.Passthrough = unknown.Destination, true
	limited := connection(flow.TCP)
	limited.Decision = authz.Decision{Basis: authz.ByLimit, Policy: "shop/cap", RetryAfter: time.Second}
	limited.Shadow = authz.Decision{Allowed: true, Basis: authz.ByAllow, Policy: "shop/other"} // as in force, but for the limit
	limited.Refusal = flow.Refusal{Reason: flow.RateLimited, RetryAfter: time.Second}
	records := []struct {
		name string
		line []byte
	}{
		{"a request that was served", r.request(nil, served())},
		{"a request that was blocked", r.request(nil, blocked())},
		{"a request that could not be parsed", r.request(nil, unparsed())},
		{"a request with everything", withQuery.request(nil, everything())},
		{"a request without anything", r.request(nil, &flow.Request{})},
		{"an opaque connection that was denied", r.connection(nil, denied)},
		{"an opaque connection beyond a limit", r.connection(nil, limited)},
		{"an opaque connection that was served", r.connection(nil, opaque)},
		{"a plaintext connection that was refused", r.connection(nil, plaintext)},
		{"a captured connection that was passed through", r.connection(nil, unknown)},
		{"a connection without anything", r.connection(nil, &flow.Connection{})},
	}
	var b bytes.Buffer
	for _, rec := range records {
		b.WriteString("# " + rec.name + "\n")
		b.Write(rec.line)
	}
	const file = "testdata/records.golden"
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("records differ; refresh with -update (-want +got):\n%s", diff)
	}
}

func TestNothingSecretIsLoggedByDefault(t *testing.T) {
	r := fixed()
	for name, req := range map[string]*flow.Request{"served": served(), "unparsed": unparsed()} {
		if got := string(r.request(nil, req)); strings.Contains(got, "4111") || strings.Contains(got, "secret") {
			t.Errorf("the record of a request that was %s holds its query: %s", name, got)
		}
	}
}

// TestDocumentationNamesEveryMember compares, both ways, the members that a
// record can have with the tables of docs/access-log.md.
func TestDocumentationNamesEveryMember(t *testing.T) {
	page, err := os.ReadFile("../../docs/access-log.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|").FindAllSubmatch(page, -1) {
		documented[string(m[1])] = true
	}
	r := fixed()
	r.query = true
	var record map[string]any
	if err := json.Unmarshal(r.request(nil, everything()), &record); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	flatten(written, "", record)
	const least = 43
	if len(written) < least {
		t.Errorf("the fullest record has %d members, want at least %d", len(written), least)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("members written (-) and documented (+):\n%s", diff)
	}
	var values []string
	for _, reason := range flow.Reasons()[1:] {
		values = append(values, reason.String())
	}
	for basis := authz.ByDeny; basis.String() != authz.Basis(0).String(); basis++ {
		values = append(values, basis.String())
	}
	for _, class := range flow.Classes()[1:] {
		values = append(values, class.String())
	}
	for _, v := range values {
		if !bytes.Contains(page, []byte("`"+v+"`")) {
			t.Errorf("docs/access-log.md does not name the value `%s`", v)
		}
	}
}

func flatten(names map[string]bool, prefix string, object map[string]any) {
	for name, value := range object {
		if nested, ok := value.(map[string]any); ok {
			flatten(names, prefix+name+".", nested)
			continue
		}
		names[prefix+name] = true
	}
}

func TestTimesAreUTCWithMicroseconds(t *testing.T) {
	var c clock
	for _, at := range []time.Time{
		started, started.Add(time.Nanosecond), started.Add(time.Second), started.Add(-time.Hour),
		{},
		time.Unix(0, 999), time.Unix(-1, 999_999_999),
	} {
		got := string(c.append(nil, at))
		want := `"` + at.UTC().Format("2006-01-02T15:04:05.000000Z") + `"`
		if got != want {
			t.Errorf("time %v is written %s, want %s", at, got, want)
		}
	}
}

func TestLongStringsAreCutBetweenCharacters(t *testing.T) {
	cases := []struct{ in, want string }{
		{"abcdefgh", "abcdefgh"},
		{"abcdefghi", "abcdefgh…"},
		{"abcdefgü", "abcdefg…"},
		{"abcde€uro", "abcde€…"},
		{"abcdef€uro", "abcdef…"},
		{"abcde😀😀", "abcde…"},
		{strings.Repeat("\x80", 9), strings.Repeat("\uFFFD", 8) + "…"},
	}
	for _, c := range cases {
		o := object{empty: true}
		o.open()
		o.text("x", c.in, 8)
		o.close()
		var got struct{ X string }
		if err := json.Unmarshal(o.buf, &got); err != nil || got.X != c.want {
			t.Errorf("%q is written %s (%v), want %q", c.in, o.buf, err, c.want)
		}
	}
}

func TestWhatCannotBePrintedIsEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"plain":         `plain`,
		"a\"b\\c/":      `a\"b\\c/`,
		"\r\n\t\x00":    `\r\n\t\u0000`,
		"\x1b[31m\x7f":  `\u001b[31m\u007f`,
		"\u009b31m":     `\u009b31m`,
		"a\u202eb":      `a\u202eb`,
		"\u2028":        `\u2028`,
		"\xff\xc0\x80":  `\ufffd\ufffd\ufffd`,
		"\uFFFD ü 世 😀":  "\uFFFD ü 世 😀",
		"\U000E0041tag": `\udb40\udc41tag`,
	} {
		if got := string(appendEscaped(nil, in)); got != want {
			t.Errorf("%q is escaped as %s, want %s", in, got, want)
		}
	}
}

// FuzzRecord holds that whatever a peer sends, a record is one line of JSON that
// has nothing unprintable and gives the same strings back.
func FuzzRecord(f *testing.F) {
	f.Add("GET", "example.com", "/a", "/a?q=1", "detail", 200, int64(1))
	f.Add("G\"T", "\xff\xfe", "/\n{\"kind\":\"request\"}", "?", "\u2028\u202e", -1, int64(math.MinInt64))
	f.Add("", "", strings.Repeat("é", 1000), strings.Repeat("\x00", 3000), `\u0000`, 0, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, method, host, path, target, detail string, status int, n int64) {
		req := &flow.Request{
			Conn: &flow.Connection{Listener: detail, Service: host, PeerID: path}, Method: method, Host: host,
			Path: path, Target: target, Query: target, Status: status, Received: n, Trace: detail, DecisionID: "id",
			Refusal:    flow.Refusal{Reason: flow.Reason(n), Detail: detail},
			Decision:   authz.Decision{Basis: authz.ByDeny, Policy: path, Rule: status},
			Inspection: flow.Inspection{Outcome: flow.Blocked, Message: detail, Location: target, Rules: []int{status}, Matches: []flow.Match{{Rule: status, Location: target, Decoded: detail}}},
			Times:      flow.Times{Total: time.Duration(n)},
		}
		r := fixed()
		r.query = true
		line, ok := bytes.CutSuffix(r.request([]byte("before"), req), []byte("\n"))
		if !ok {
			t.Fatalf("record does not end its line: %q", line)
		}
		line, ok = bytes.CutPrefix(line, []byte("before"))
		if !ok {
			t.Fatalf("record overwrote what was there: %q", line)
		}
		for _, c := range string(line) {
			if !unicode.IsPrint(c) {
				t.Fatalf("record holds %U: %q", c, line)
			}
		}
		var got struct {
			Kind, Method, Host, Path, Query, Detail, Trace, Listener string
			Status                                                   int
			ReceivedBytes                                            int64 `json:"received_bytes"`
			Source                                                   struct{ ID string }
			Destination                                              struct{ Service string }
			Decision                                                 struct{ Verdict, Policy string }
			Waf                                                      struct{ Message, Location string }
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("record is not JSON: %v\n%s", err, line)
		}
		wantPath := path
		if path == "" {
			wantPath, _, _ = strings.Cut(target, "?")
		}
		wantDetail := detail
		if flow.Reason(n) == flow.None {
			wantDetail = ""
		}
		want := got
		want.Kind, want.Method, want.Host, want.Path = "request", shown(method, maxMethod), shown(host, maxHost), shown(wantPath, maxPath)
		want.Query, want.Detail, want.Trace = shown(target, maxPath), shown(wantDetail, maxDetail), shown(detail, maxTrace)
		want.Listener, want.Status, want.ReceivedBytes = shown(detail, maxName), status, n
		want.Source.ID, want.Destination.Service = shown(path, maxID), shown(host, maxName)
		want.Decision.Verdict, want.Decision.Policy = "deny", shown(path, maxName)
		want.Waf.Message, want.Waf.Location = shown(detail, maxDetail), shown(target, maxDetail)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record does not give back what went in (-want +got):\n%s", diff)
		}
	})
}

// shown is what a reader of the record sees of s.
func shown(s string, limit int) string {
	if len(s) > limit {
		return string([]rune(cut(s, limit))) + "…"
	}
	return string([]rune(s))
}
