package inspect

import (
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A Plan says what inspection wants of one request. It is a small value, made
// without allocating.
type Plan struct {
	// Off tells that the request is not inspected and nothing has to be asked.
	Off bool
	// BodyBytes is how many bytes of the body the caller reads before it asks
	// for the verdict, unless the body ends earlier; 0 means none: the verdict
	// rests on the head.
	BodyBytes int64

	owner *Inspector
	rule  rule
}

// A rule is what holds for one request: its policy, seen with the eyes of its
// caller.
type rule struct {
	policy *policy // nil when there is none: everything is refused
	block  bool    // an attack is refused, and so is what policy denies
	// head is why only the head is inspected; Inspected when the body is, too.
	head flow.Uninspected
}

// Plan decides what inspection wants of a request from its path, the verified
// caller and its head.
func (i *Inspector) Plan(req *flow.Request) Plan {
	p := i.policyFor(req.Path)
	if p == nil {
		return Plan{Off: true, owner: i}
	}
	mode := p.modeFor(req.Conn.PeerID)
	if mode == config.Off {
		return Plan{Off: true, owner: i}
	}
	r := rule{policy: p, block: mode != config.DetectOnly, head: headOnly(req)}
	plan := Plan{owner: i, rule: r}
	if r.head == flow.Inspected {
		plan.BodyBytes = int64(p.body.InspectBytes)
	}
	return plan
}

func (i *Inspector) policyFor(path string) *policy {
	for _, p := range i.policies {
		if len(p.paths) == 0 || matchPath(p.paths, path) {
			return p
		}
	}
	return nil
}

// headOnly says why the body of a request cannot be inspected. What a client
// may merely claim must not be a way around inspection, so a body is taken for
// a stream only where the protocol makes it one: a tunnel, a request to upgrade
// that has no body, and gRPC where gRPC can be, on HTTP/2 and later.
func headOnly(req *flow.Request) flow.Uninspected {
	if encoded(req.Header) {
		return flow.Encoding
	}
	if req.Method == "CONNECT" {
		return flow.Stream
	}
	if !strings.HasPrefix(req.Proto, "HTTP/1.") {
		if t, _ := req.Header.Get("content-type"); isGRPC(t) {
			return flow.Stream
		}
		return flow.Inspected
	}
	if _, ok := req.Header.Get("upgrade"); ok && !hasBody(req.Header) {
		return flow.Stream
	}
	return flow.Inspected
}

// hasBody applies RFC 9112 §6.3 to a request.
func hasBody(h flow.Header) bool {
	if _, ok := h.Get("transfer-encoding"); ok {
		return true
	}
	n, ok := h.Get("content-length")
	return ok && strings.Trim(n, "0") != ""
}

// isGRPC tells a content type of gRPC itself from that of gRPC-Web, whose
// requests end.
func isGRPC(contentType string) bool {
	const grpc = "application/grpc"
	if len(contentType) < len(grpc) || !strings.EqualFold(contentType[:len(grpc)], grpc) {
		return false
	}
	rest := contentType[len(grpc):]
	return rest == "" || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
}

// encoded tells whether the body has a content coding: any other than identity,
// in any of the fields.
func encoded(h flow.Header) bool {
	first, ok := h.Get("content-encoding")
	if !ok {
		return false
	}
	if !isIdentity(first) {
		return true
	}
	found := false
	h.Each(func(name, value string) bool {
		found = strings.EqualFold(name, "content-encoding") && !isIdentity(value)
		return !found
	})
	return found
}

func isIdentity(coding string) bool {
	coding = strings.Trim(coding, " \t")
	return coding == "" || strings.EqualFold(coding, "identity")
}

// An input is what the engine gets besides the head.
type input struct {
	body []byte
	// partial tells that body is only the first part of the request's.
	partial bool
	// headOnly tells that there is no body to look at, and reason why the
	// body, or the rest of it, is not inspected.
	headOnly bool
	reason   flow.Uninspected
	// now is when the inspection began.
	now time.Time
	// budget is how long it may have taken at a checkpoint.
	budget time.Duration
	// checkpoint is called between two phases; its error ends the inspection.
	checkpoint func() error
}

// input applies the plan to what was read of the body. Where policy refuses the
// request for what was not inspected, done is true and the outcome final.
func (p Plan) input(body []byte, complete bool) (in input, outcome flow.Inspection, done bool) {
	r := p.rule
	in = input{body: body, reason: r.head}
	limit := r.policy.body.InspectBytes
	switch {
	case r.head != flow.Inspected:
		in.headOnly = true
	case complete && len(body) <= limit:
		return in, flow.Inspection{}, false
	default:
		in.reason = flow.BodyOverCap
		in.partial = true
		in.body = body[:min(len(body), limit)]
		in.headOnly = r.policy.body.Overflow == config.OverflowPass
	}
	if in.headOnly {
		in.body, in.partial = nil, false
	}
	if r.block && r.policy.denies(in.reason) {
		return in, r.failure(in.reason, nil), true
	}
	return in, flow.Inspection{}, false
}
