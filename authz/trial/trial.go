// Package trial puts calls to policies that nobody has made yet, and compares
// what is decided with what somebody expects.
//
// A call is written down as a person would say it; see [Call]. It meets what a
// request meets in a sidecar before and in the policies: a listener that takes
// mutual TLS only, the normalisation of the path, and the engine itself. So what
// a trial says is what the sidecar does, up to what no document says: whether a
// certificate is valid, and what inspection makes of the request.
package trial

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
)

// Plaintext is the caller that has no identity.
const Plaintext = "plaintext"

// A Call is what somebody might do. Without method and path it is a connection of
// opaque bytes.
type Call struct {
	// From is the caller's SPIFFE ID, or [Plaintext].
	From string `yaml:"from"`
	// Source is the address of the caller; empty means that it is not known, and
	// then no ipBlocks match.
	Source string `yaml:"source,omitempty"`
	// To is the port of the workload.
	To int `yaml:"to"`
	// Listener is the name of the listener that is called; empty where it is not
	// known.
	Listener string `yaml:"listener,omitempty"`
	// Method is GET when empty and there is a path.
	Method string `yaml:"method,omitempty"`
	// Path is as the client sends it, without the query.
	Path string `yaml:"path,omitempty"`
	// Host is the authority; empty where none was sent.
	Host string `yaml:"host,omitempty"`
	// Headers are the request's, each once.
	Headers map[string]string `yaml:"headers,omitempty"`
}

// A Problem is a part of a call that makes no sense.
type Problem struct {
	// Field is the part, as in a document: "from".
	Field string
	// Value is what stands there; empty when something is missing.
	Value string
	// Reason is what is wrong with it, Remedy what to do.
	Reason, Remedy string
}

// String is the whole problem in one line.
func (p Problem) String() string {
	text := p.Field + ": "
	if p.Value != "" {
		text += strconv.Quote(p.Value) + " "
	}
	return text + p.Reason + "; " + p.Remedy
}

// A Subject is what calls are put to.
type Subject struct {
	Set *authz.Set
	// Strict tells that plaintext is refused before any policy is asked.
	Strict bool
}

// An Outcome is what became of a call.
type Outcome struct {
	Allowed bool
	// Basis is that of the decision, or why none was needed: "plaintext_refused"
	// or "bad_request".
	Basis string
	// Policy and Rule decided; empty and -1 when none did.
	Policy string
	Rule   int
	// Why says more, for people.
	Why string
	// Request is what policies were asked about; nil when none were.
	Request *authz.Request
	// Explanation is the whole of it; zero when policies were not asked.
	Explanation authz.Explanation
}

// Verdict is "allow" or "deny".
func (o *Outcome) Verdict() string {
	if o.Allowed {
		return "allow"
	}
	return "deny"
}

// String is the verdict and what it rests on, in a few words.
func (o *Outcome) String() string {
	if o.Policy != "" {
		return o.Verdict() + " by " + o.Policy + " rule " + strconv.Itoa(o.Rule)
	}
	return o.Verdict() + " (" + o.Basis + ")"
}

// Try makes the call. With problems it was not made, and the outcome is a denial.
func (s Subject) Try(c *Call) (Outcome, []Problem) {
	r, refused, problems := c.request()
	switch {
	case len(problems) > 0:
		return Outcome{Rule: -1, Basis: "not_tried"}, problems
	case s.Strict && r.Peer.IsZero():
		return Outcome{Rule: -1, Basis: "plaintext_refused", Why: "the port takes mutual TLS only, before any policy is asked"}, nil
	case refused != "":
		return Outcome{Rule: -1, Basis: "bad_request", Why: "the sidecar answers 400 before any policy is asked: " + refused}, nil
	}
	e := s.Set.Explain(r)
	d := e.Decision
	o := Outcome{Allowed: d.Allowed, Basis: d.Basis.String(), Policy: d.Policy, Rule: d.Rule, Why: d.String(), Request: r, Explanation: e}
	if n, ok := s.Set.Nearest(r); ok && d.Basis == authz.NoAllowMatched {
		o.Why += "; nearest " + n.String()
	}
	return o, nil
}

// request is the call as policies see it. refused says why a path is answered
// with 400 before that.
func (c *Call) request() (r *authz.Request, refused string, problems []Problem) {
	r = &authz.Request{Listener: c.Listener}
	bad := func(field, value, reason, remedy string) {
		problems = append(problems, Problem{field, value, reason, remedy})
	}
	switch id, err := spiffeid.FromString(c.From); {
	case c.From == "":
		bad("from", "", "is missing", "write a SPIFFE ID, or "+Plaintext)
	case c.From == Plaintext:
	case err != nil:
		bad("from", c.From, "is no SPIFFE ID: "+err.Error(), "write spiffe://TRUST-DOMAIN/PATH, or "+Plaintext)
	default:
		r.Peer = id
	}
	if c.Source != "" {
		a, err := netip.ParseAddr(c.Source)
		if err != nil {
			bad("source", c.Source, "is no IP address", "write one such as 10.1.2.3")
		}
		r.Source = a.Unmap()
	}
	if c.To < 1 || c.To > 65535 {
		bad("to", strconv.Itoa(c.To), "is no port", "write the workload's port, 1 to 65535")
	}
	r.Port = uint16(c.To) //nolint:gosec // else there is a problem
	refused, more := c.http(r)
	return r, refused, append(problems, more...)
}

// http fills in what only HTTP has.
func (c *Call) http(r *authz.Request) (refused string, problems []Problem) {
	if c.Path == "" {
		if c.Method != "" || c.Host != "" || len(c.Headers) > 0 {
			problems = append(problems, Problem{"path", "", "is missing, and there are other parts of an HTTP request", "write the path, or remove method, host and headers"})
		}
		return "", problems
	}
	r.HTTP, r.Method, r.Host, r.Path, r.Header = true, c.Method, c.Host, c.Path, fields(c.Headers)
	if r.Method == "" {
		r.Method = "GET"
	}
	if !token(r.Method) {
		problems = append(problems, Problem{"method", c.Method, "is no method", "write one such as GET"})
	}
	for name := range c.Headers {
		if !token(name) {
			problems = append(problems, Problem{"headers", name, "is no header's name", "write one such as x-tenant"})
		}
	}
	switch {
	case c.Path == "*" && r.Method == "OPTIONS":
		return "", problems
	case c.Path[0] != '/':
		return "", append(problems, Problem{"path", c.Path, "does not begin with a slash", "write the path from its root"})
	case strings.ContainsAny(c.Path, "?#"):
		return "", append(problems, Problem{"path", c.Path, "has a query or a fragment, which policies don't see", "write the path alone"})
	}
	path, err := authz.NormalizePath(c.Path)
	if err != nil {
		return err.Error(), problems
	}
	r.Path = path
	return "", problems
}

// token is RFC 9110 §5.6.2.
func token(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		return !alphanumeric && !strings.ContainsRune(others, c)
	}) < 0
}

// fields are headers in no particular order: each is there once.
type fields map[string]string

// Each implements [authz.Header].
func (f fields) Each(yield func(name, value string) bool) {
	for name, value := range f {
		if !yield(name, value) {
			return
		}
	}
}
