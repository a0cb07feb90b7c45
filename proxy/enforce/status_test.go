package enforce_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// statuses is what each reason becomes; status 0 means that nobody is answered.
var statuses = map[flow.Reason]struct {
	status int
	error  string
}{
	flow.None:               {0, ""},
	flow.AccessDenied:       {403, "http_request_denied"},
	flow.RateLimited:        {429, "http_request_denied"},
	flow.WAFBlocked:         {403, "http_request_denied"},
	flow.WAFUninspected:     {403, "http_request_denied"},
	flow.WAFUnavailable:     {503, "proxy_internal_response"},
	flow.NoIdentity:         {503, "destination_unavailable"},
	flow.TLSFailed:          {0, ""},
	flow.PlaintextRefused:   {403, "http_request_denied"},
	flow.CertificateRevoked: {0, ""},
	flow.CertificateExpired: {0, ""},
	flow.NotHTTP:            {0, ""},
	flow.NotRedirected:      {0, ""},
	flow.BadRequest:         {400, "http_request_error"},
	flow.HeadTooLarge:       {431, "http_request_error"},
	flow.BodyTooLarge:       {413, "http_request_error"},
	flow.MethodRefused:      {405, "http_request_error"},
	flow.RequestTimeout:     {408, "http_request_error"},
	flow.Overloaded:         {503, "connection_limit_reached"},
	flow.NoDestination:      {503, "destination_unavailable"},
	flow.Unresolved:         {503, "destination_unavailable"},
	flow.ConnectFailed:      {502, "connection_refused"},
	flow.ConnectTimeout:     {504, "connection_timeout"},
	flow.UpstreamTLSFailed:  {502, "tls_certificate_error"},
	flow.UpstreamClosed:     {502, "connection_terminated"},
	flow.UpstreamProtocol:   {502, "http_protocol_error"},
	flow.UpstreamTimeout:    {504, "http_response_timeout"},
	flow.ClientClosed:       {0, ""},
	flow.PolicyChanged:      {403, "http_request_denied"},
	flow.Draining:           {503, "proxy_internal_response"},
	flow.Internal:           {500, "proxy_internal_error"},
}

// proxyErrors are the types of RFC 9209 §2.3.
var proxyErrors = []string{
	"dns_timeout", "dns_error", "destination_not_found", "destination_unavailable", "destination_ip_prohibited",
	"destination_ip_unroutable", "connection_refused", "connection_terminated", "connection_timeout",
	"connection_read_timeout", "connection_write_timeout", "connection_limit_reached", "tls_protocol_error",
	"tls_certificate_error", "tls_alert_received", "http_request_error", "http_request_denied",
	"http_response_incomplete", "http_response_header_section_size", "http_response_header_size",
	"http_response_body_size", "http_response_trailer_section_size", "http_response_trailer_size",
	"http_response_transfer_coding", "http_response_content_coding", "http_response_timeout",
	"http_upgrade_failed", "http_protocol_error", "proxy_internal_response", "proxy_internal_error",
	"proxy_configuration_error", "proxy_loop_detected",
}

func TestEveryReasonHasAStatus(t *testing.T) {
	reasons := flow.Reasons()
	if len(reasons) != len(statuses) {
		t.Errorf("%d reasons and %d rows", len(reasons), len(statuses))
	}
	for _, r := range reasons {
		want, ok := statuses[r]
		if !ok {
			t.Errorf("no row for %v", r)
			continue
		}
		status, proxyError, answered := enforce.Status(r)
		if status != want.status || proxyError != want.error || answered != (want.status != 0) {
			t.Errorf("%v: %d %q %t, want %d %q", r, status, proxyError, answered, want.status, want.error)
		}
		if answered && !slices.Contains(proxyErrors, proxyError) {
			t.Errorf("%v: %q is no error type of RFC 9209", r, proxyError)
		}
		if answered && (status < 400 || http.StatusText(status) == "") {
			t.Errorf("%v: %d is no status of a refusal", r, status)
		}
	}
	if status, _, ok := enforce.Status(flow.Reason(250)); status != 500 || !ok {
		t.Errorf("an unknown reason is answered %d, %t", status, ok)
	}
}

// proxyStatus is the one form of Proxy-Status that we send: a list of one token
// with a token and a string as parameters (RFC 9209 §2, RFC 8941 §3.1, §3.3).
var proxyStatus = regexp.MustCompile(`^[A-Za-z*][!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z:/]*; error=([a-z_]+); details="([ !#-\[\]-~]*)"$`)

const decisionID = "0123456789abcdefghjk"

// answer parses an answer as a client would.
func answer(t *testing.T, r flow.Reason) (textproto.MIMEHeader, string, bool) {
	t.Helper()
	a, ok := enforce.AnswerTo(flow.Refusal{Reason: r}, decisionID)
	if !ok {
		if a.Status != 0 || a.Fields != nil || a.Body != nil {
			t.Errorf("%v is not answered, with %+v", r, a)
		}
		return nil, "", false
	}
	if want, _, _ := enforce.Status(r); a.Status != want {
		t.Errorf("%v is answered with %d, not %d", r, a.Status, want)
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(a.Fields, "\r\n"...)))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%v: fields %q: %v", r, a.Fields, err)
	}
	return h, string(a.Body), true
}

func TestAnswers(t *testing.T) {
	answered := 0
	for _, r := range flow.Reasons() {
		h, body, ok := answer(t, r)
		if !ok {
			continue
		}
		answered++
		m := proxyStatus.FindStringSubmatch(h.Get("Proxy-Status"))
		if m == nil {
			t.Errorf("%v: proxy-status %q is no valid structured field", r, h.Get("Proxy-Status"))
			continue
		}
		if _, want, _ := enforce.Status(r); m[1] != want || m[2] != r.String() {
			t.Errorf("%v: proxy-status says %q and %q", r, m[1], m[2])
		}
		for name, want := range map[string]string{
			"X-Outrider-Decision": decisionID, "Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8",
		} {
			if got := h.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%v: %s is %q, want %q", r, name, got, want)
			}
		}
		if !strings.Contains(body, decisionID) || !strings.Contains(body, r.String()) || !strings.HasSuffix(body, "\n") {
			t.Errorf("%v: body %q", r, body)
		}
		if r != flow.Internal && strings.Contains(body, "internal error") {
			t.Errorf("%v: no sentence for the caller: %q", r, body)
		}
	}
	if answered < 20 {
		t.Errorf("only %d answers", answered)
	}
}

func TestAnswersThatAskToComeBack(t *testing.T) {
	for _, r := range flow.Reasons() {
		h, _, ok := answer(t, r)
		if !ok {
			continue
		}
		status, _, _ := enforce.Status(r)
		if again := status == 429 || status == 503; again != (h.Get("Retry-After") != "") {
			t.Errorf("%v: retry-after %q with status %d", r, h.Get("Retry-After"), status)
		}
		if allow := status == 405; allow != (h.Get("Allow") != "") { // RFC 9110 §15.5.6
			t.Errorf("%v: allow %q with status %d", r, h.Get("Allow"), status)
		}
	}
}

// A caller learns that it was refused and under which id; not by which policy,
// and not what would have been allowed.
func TestAnAnswerTellsNothingOfThePolicy(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	q := request(connection(intruder, port, flow.HTTP1), "POST", "/v1/charges")
	if e.Request(q) || !strings.Contains(q.Refusal.Detail, "payments-callers") {
		t.Fatalf("refusal %+v", q.Refusal)
	}
	a, ok := enforce.AnswerTo(q.Refusal, decisionID)
	if !ok {
		t.Fatal("no answer")
	}
	text := string(a.Fields) + string(a.Body)
	for _, secret := range []string{"payments", "checkout", "intruder", "/v1/", "rule", "POST", "spiffe://", "8080", "shop"} {
		if strings.Contains(text, secret) {
			t.Errorf("the answer says %q: %s", secret, text)
		}
	}
}

const documentation = "../../docs/refusals.md"

// row is a line of the table: `reason` | status | Proxy-Status error | meaning | what to do.
var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9—]+) \\| (`[a-z_]+`|—) \\| ([^|]+) \\| ([^|]+) \\|$")

func TestEveryReasonIsDocumented(t *testing.T) {
	page, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		if rows[m[1]] != nil {
			t.Errorf("%s is there twice", m[1])
		}
		rows[m[1]] = m
	}
	known := map[string]bool{}
	for _, r := range flow.Reasons() {
		if r == flow.None {
			continue
		}
		known[r.String()] = true
		m := rows[r.String()]
		if m == nil {
			t.Errorf("%s has no row for %v", documentation, r)
			continue
		}
		status, proxyError := "—", "—"
		if n, e, ok := enforce.Status(r); ok {
			status, proxyError = strconv.Itoa(n), "`"+e+"`"
		}
		if m[2] != status || m[3] != proxyError {
			t.Errorf("%v is documented as %s %s, and is %s %s", r, m[2], m[3], status, proxyError)
		}
	}
	for name := range rows {
		if !known[name] {
			t.Errorf("%s documents %q, which does not exist", documentation, name)
		}
	}
	if len(rows) < 27 {
		t.Errorf("only %d rows", len(rows))
	}
}

// grpcCodes are those of every reason that has a status.
var grpcCodes = map[flow.Reason]int{
	flow.AccessDenied: 7, flow.RateLimited: 8, flow.WAFBlocked: 7, flow.WAFUninspected: 7, flow.WAFUnavailable: 14,
	flow.NoIdentity: 14, flow.PlaintextRefused: 7, flow.BadRequest: 13, flow.HeadTooLarge: 8, flow.BodyTooLarge: 8,
	flow.MethodRefused: 12, flow.RequestTimeout: 4, flow.Overloaded: 14, flow.NoDestination: 14, flow.Unresolved: 14, flow.ConnectFailed: 14,
	flow.ConnectTimeout: 14, flow.UpstreamTLSFailed: 14, flow.UpstreamClosed: 14, flow.UpstreamProtocol: 14,
	flow.UpstreamTimeout: 4, flow.PolicyChanged: 7, flow.Draining: 14, flow.Internal: 13,
}

func TestRefusalsOfGRPCCalls(t *testing.T) {
	answered := 0
	for _, r := range flow.Reasons() {
		a, ok := enforce.GRPCAnswerTo(flow.Refusal{Reason: r}, decisionID)
		want, has := grpcCodes[r]
		if ok != has {
			t.Errorf("%v is answered: %t", r, ok)
		}
		if !ok {
			continue
		}
		answered++
		h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(a.Fields, "\r\n"...)))).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%v: fields %q: %v", r, a.Fields, err)
		}
		if a.Status != 200 || len(a.Body) > 0 || h.Get("Content-Type") != "application/grpc" || h.Get("Grpc-Status") != strconv.Itoa(want) {
			t.Errorf("%v: %d %v, want grpc-status %d", r, a.Status, h, want)
		}
		message := h.Get("Grpc-Message")
		if !strings.Contains(message, r.String()) || !strings.Contains(message, decisionID) || strings.Contains(message, "%") {
			t.Errorf("%v: grpc-message %q", r, message)
		}
		if proxyStatus.FindString(h.Get("Proxy-Status")) == "" || h.Get("X-Outrider-Decision") != decisionID {
			t.Errorf("%v: %v", r, h)
		}
	}
	if answered < 22 {
		t.Errorf("only %d reasons are answered", answered)
	}
}
