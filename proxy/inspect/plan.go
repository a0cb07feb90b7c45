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
	// BodyBytes is the most that inspection may want of the body; 0 means none: the
	// verdict rests on the head.
	BodyBytes int64
	// Patient tells that a client which does not send that in time is no reason to
	// refuse: it may be waiting for the application, and policy only watches.
	Patient bool

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
	// call is how the first message of a gRPC call is read.
	call callFormat
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
	switch {
	case r.head == flow.Inspected:
		plan.BodyBytes = int64(p.body.InspectBytes)
	case r.head == flow.Stream && req.GRPC && p.grpc.Inspect == config.GRPCUnary:
		plan.rule.head, plan.rule.call = flow.Inspected, formatOf(req.Header)
		plan.BodyBytes = framePrefix + int64(p.body.InspectBytes) + 1
		plan.Patient = !r.block
	}
	return plan
}

// Wants is how many bytes of the body, from its first, the caller reads before it
// asks for the verdict, unless the body ends earlier. It depends on those that have
// been read: the caller asks again until there are as many.
func (p Plan) Wants(read []byte) int64 {
	if p.rule.call.inspected {
		return p.rule.wants(read)
	}
	return p.BodyBytes
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
	if encoded(req.Header) || isGRPCWeb(req.Header) && codingOf(req.Header) != noCoding {
		return flow.Encoding
	}
	if req.Method == "CONNECT" || req.GRPC {
		return flow.Stream
	}
	if !strings.HasPrefix(req.Proto, "HTTP/1.") {
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

// isGRPCWeb tells a request of gRPC-Web, in either form.
func isGRPCWeb(h flow.Header) bool {
	const web = "application/grpc-web"
	t, _ := h.Get("content-type")
	return len(t) >= len(web) && strings.EqualFold(t[:len(web)], web)
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
	// processor is what reads body; empty means that the rules decide.
	processor string
	// boundary separates the parts of a multipart form; empty for other bodies.
	boundary string
	// broken is why the body cannot be read; nil when it can, or may.
	broken error
	// refused tells that policy refuses the request for its reason.
	refused bool
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
	switch {
	case r.head != flow.Inspected:
		in = input{headOnly: true, reason: r.head}
	case r.call.inspected:
		in = p.inputOfCall(body, complete)
	default:
		in = r.inputOfBody(body, complete)
	}
	if in.headOnly {
		in.body, in.partial = nil, false
	}
	if in.refused || r.block && in.reason != flow.Inspected && r.policy.denies(in.reason) {
		outcome = r.failure(in.reason, nil)
		outcome.Refuse = true
		return in, outcome, true
	}
	return in, flow.Inspection{}, false
}

func (r rule) inputOfBody(body []byte, complete bool) input {
	limit := r.policy.body.InspectBytes
	if complete && len(body) <= limit {
		return input{body: body}
	}
	var in input
	r.overCap(&in, body[:min(len(body), limit)])
	return in
}
