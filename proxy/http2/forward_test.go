package http2

import (
	"errors"
	"strings"
	"testing"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// A headOut is what a client sends and what of it goes to the next hop.
type headOut struct {
	name  string
	lines []string
	edits message.Edits
	want  string
}

func edited(path string, lines ...string) message.Edits {
	e := message.Edits{Path: path}
	for _, line := range lines {
		e.Fields = append(e.Fields, []byte(line))
	}
	return e
}

const (
	fromGet  = ":method=GET :scheme=http :authority=a :path=/ "
	fromPath = ":method=GET :scheme=http :authority=a :path="
)

var headsOut = []headOut{
	{"nothing but what must be", getLines(), edited(""), fromGet},
	{"fields in their order", with("b: 1", "a: 2", "b: 3"), edited(""), fromGet + "b=1 a=2 b=3"},
	{"a host for :authority", hosts("x: y", "host: b"), edited(""), ":method=GET :scheme=http :authority=b :path=/ x=y"},
	{"both", with("host: a"), edited(""), fromGet},
	{"the scheme", scheme("https"), edited(""), ":method=GET :scheme=https :authority=a :path=/"},
	{"te comes last", with("te: trailers", "x: y"), edited(""), fromGet + "x=y te=trailers"},
	{"te twice", with("te: trailers", "te: trailers"), edited(""), fromGet + "te=trailers"},
	{"what ends here", with("proxy-authorization: a", "proxy-authenticate: b", "x: y"), edited(""), fromGet + "x=y"},
	{
		"what only a sidecar may set",
		with("x-outrider-peer: a", "x_outrider_peer: b", "x-outrider-decision: c", "x-forwarded-client-cert: d", "x_forwarded_client_cert: e", "x: y"),
		edited(""), fromGet + "x=y",
	},
	{"cookies are joined", with("cookie: a=1", "x: y", "cookie: b=2", "cookie: c=3"), edited(""), fromGet + "cookie=a=1; b=2; c=3 x=y"},
	{"traceparent", with("traceparent: t"), edited(""), fromGet + "traceparent=t"},
	{"an expectation without a body", with("expect: 100-continue"), edited(""), fromGet},
	{"a query", path("/a?b=c"), edited(""), fromPath + "/a?b=c"},
	{"another path", path("/a"), edited("/c"), fromPath + "/c"},
	{"another path keeps the query", path("/a?b?c"), edited("/c"), fromPath + "/c?b?c"},
	{"another path keeps an empty query", path("/a?"), edited("/c"), fromPath + "/c?"},
	{"the path that was there", path("/a%2Fb?"), edited("/a%2Fb"), fromPath + "/a%2Fb?"},
	{"fields of ours", with("x: y"), edited("", "X-Outrider-Peer: spiffe://a\r\n", "b:\r\n"), fromGet + "x=y x-outrider-peer=spiffe://a b="},
	{"more fields of ours than are remembered", getLines(), edited("", "a: 1\r\n", "b: 2\r\n", "c: 3\r\n", "d: 4\r\n", "e: 5\r\n"), fromGet + "a=1 b=2 c=3 d=4 e=5"},
	{"fields of ours that HTTP/2 has no place for", getLines(), edited("", "connection: close\r\n", "a: 1\r\n"), fromGet + "a=1"},
}

func TestHeadsThatGoOn(t *testing.T) {
	for i := range headsOut {
		c := &headsOut[i]
		t.Run(c.name, func(t *testing.T) {
			got := carryEdited(t, c)
			if want := strings.TrimSpace(c.want) + " END"; got != want {
				t.Errorf("the next hop got %s\nwant %s", got, want)
			}
		})
	}
	if len(headsOut) < 20 {
		t.Errorf("%d cases, want at least 20", len(headsOut))
	}
}

// carryEdited sends the case twice over one connection to the next hop, as fields
// and lines of the first may be referred to by the second, and returns what the next
// hop got the second time.
func carryEdited(t *testing.T, c *headOut) string {
	got := carry(t, limits.Default(), Dialed{}, &relayCase{
		edits: c.edits,
		ask: func(p *peer) {
			p.headers(1, true, c.lines...)
			p.pause()
			p.headers(3, true, c.lines...)
		},
		answer: func(p *peer, id uint32) { p.headers(id, true, ok()...) },
	})
	first, second, found := strings.Cut(got.upstream, "END ")
	if !found || strings.TrimSpace(first)+" END" != second {
		t.Errorf("the first time %s\nthe second %s", first, second)
	}
	return second
}

func TestEditsCannotSplitARequest(t *testing.T) {
	for name, e := range map[string]message.Edits{
		"a path with CRLF":      edited("/a\r\nb"),
		"a path with a query":   edited("/a?b"),
		"a path without slash":  edited("a"),
		"a field without CRLF":  edited("", "a: b"),
		"two fields in one":     edited("", "a: b\r\nc: d\r\n"),
		"a field that is empty": edited("", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got := carry(t, limits.Default(), Dialed{}, &relayCase{
				edits: e, answer: func(p *peer, id uint32) { p.headers(id, true, ok()...) },
			})
			if got.upstream != "" || !strings.Contains(got.failure, message.ErrEdits.Error()) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A decision is believed of a sidecar alone.
func TestDecisionsOfSidecarsPass(t *testing.T) {
	for from, want := range map[bool]string{
		true:  ":status=403 x-outrider-decision=d END",
		false: ":status=403 END",
	} {
		got := carry(t, limits.Default(), Dialed{FromSidecar: from}, &relayCase{
			answer: func(p *peer, id uint32) {
				p.headers(id, true, ":status: 403", "x-outrider-decision: d", "x-outrider-peer: e")
			},
		})
		if got.client != want {
			t.Errorf("from a sidecar: %v: %s, want %s", from, got.client, want)
		}
	}
}

func TestExpectations(t *testing.T) {
	got := carry(t, limits.Default(), Dialed{}, &relayCase{
		ask: func(p *peer) {
			p.post(1, "expect: 100-continue")
			p.pause()
			p.data(1, true, "x")
		},
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ":status: 100")
			p.headers(id, true, ok()...)
		},
	})
	if got.upstream != `:method=POST :scheme=http :authority=a :path=/ expect=100-continue RST:CANCEL` || got.client != ":status=100 :status=200 END RST:NO_ERROR" {
		t.Errorf("%+v", got)
	}
}

// Codes of resets are passed on, in both directions.
func TestResetsArePassedOn(t *testing.T) {
	codes := []wire.ErrCode{0, 1, 2, 5, 7, 8, 11, 13, 0xfa}
	for _, code := range codes {
		got := carry(t, limits.Default(), Dialed{}, &relayCase{
			ask: func(p *peer) {
				p.post(1)
				p.pause()
				p.frame(wire.FrameRSTStream, 0, 1, u32(uint32(code)))
			},
			answer: func(*peer, uint32) {},
		})
		want := relayed{
			upstream: ":method=POST :scheme=http :authority=a :path=/ RST:" + code.String(),
			failure:  "client unsent: stream reset: " + code.String(),
		}
		if got != want {
			t.Errorf("of a client: %+v\nwant %+v", got, want)
		}
	}
	if len(codes) < 9 {
		t.Errorf("%d codes", len(codes))
	}
}

func TestWhatFailsIsToldWithACode(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       message.Failure
		client  Code
		nextHop Code
	}{
		{"a reset of the next hop", message.Failure{Side: message.UpstreamSide, Err: &ResetError{5}}, 5, cancel},
		{"a reset of the client", message.Failure{Side: message.ClientSide, Err: &ResetError{5}}, internalError, 5},
		{"a malformed answer", message.Failure{Side: message.UpstreamSide, Err: message.Violation("x")}, internalError, protocolError},
		{"a malformed request", message.Failure{Side: message.ClientSide, Err: message.Violation("x")}, protocolError, cancel},
		{"a goodbye", message.Failure{Side: message.UpstreamSide, Unprocessed: true, Err: unprocessedError{0}}, refusedStream, cancel},
		{"a timeout", message.Failure{Side: message.UpstreamSide, Err: errSlowPeer}, cancel, cancel},
		{"the end of a connection", message.Failure{Side: message.UpstreamSide, Err: message.ErrUnexpectedEnd}, internalError, cancel},
		{"the end of a client", message.Failure{Side: message.ClientSide, Err: message.ErrClientGone}, internalError, cancel},
	} {
		if got := codeOf(&c.f); got != c.client {
			t.Errorf("%s: the client is told %v, want %v", c.name, got, c.client)
		}
		if got := codeTowards(&c.f); got != c.nextHop {
			t.Errorf("%s: the next hop is told %v, want %v", c.name, got, c.nextHop)
		}
	}
	if got := codeTowards(nil); got != cancel {
		t.Errorf("the next hop is told %v behind a complete answer, want %v", got, cancel)
	}
}

// Errors are what stages branch on.
func TestErrorsSayWhatTheyAre(t *testing.T) {
	if broken, ok := errors.AsType[*message.ProtocolError](broken(streamClosed, "rule")); !ok || broken.Rule != "rule" {
		t.Errorf("a fault of a connection is %v", broken)
	}
	if err := broken(streamClosed, "rule"); err.Error() != "rule (STREAM_CLOSED)" {
		t.Error(err)
	}
	for _, err := range []error{errSlowFrame, errSlowPeer, silentError{}} {
		if !isTimeout(err) {
			t.Errorf("%v is no timeout", err)
		}
	}
	if isTimeout(errIdle) || !isReset(&ResetError{cancel}) || isReset(errIdle) {
		t.Error("an error is taken for what it is not")
	}
}
