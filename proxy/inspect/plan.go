package inspect

import (
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// A Plan says what inspection wants of one request. It is a small value, made
// without allocating.
type Plan struct {
	// Off tells that the request is not inspected and nothing has to be asked.
	Off bool
	// BodyBytes is the most that inspection may want of the body; 0 means none: the
	// verdict rests on the head.
	BodyBytes int64
	// Free tells that no policy may refuse the request: it is forwarded at once. All
	// others wait for [Holder.Decide].
	Free bool
	// HeadFirst tells that while the body is not there, the head can be judged by
	// itself, with [Holder.DecideHead].
	HeadFirst bool
	// Watches tells that a policy looks at the request that refuses nothing: it does
	// so when the request is over, with [Holder.Watch].
	Watches bool
	// WatchBytes is the most that it may want of the body.
	WatchBytes int64

	owner *Inspector
	rule  rule
	// trial is of a policy that is only tried; its policy is nil where none is.
	trial rule
}

// A rule is what holds for one request: its policy, seen with the eyes of its
// caller.
type rule struct {
	policy *policy // nil when there is none: everything is refused
	block  bool    // an attack is refused, and so is what policy denies
	tried  bool    // it takes no slot of what decides
	// watched tells that the request is over, and nobody waits for the verdict.
	watched bool
	// head is why only the head is inspected; Inspected when the body is, too.
	head flow.Uninspected
	// coding is how the body is compressed.
	coding coding
	// call is how the first message of a gRPC call is read.
	call callFormat
	// bytes is the most that the rule may want of the body.
	bytes int64
	// first tells that the head is judged while the body is still to come.
	first bool
	// unfinished tells that the body that was seen ended too early.
	unfinished bool
}

// Plan decides what inspection wants of a request from its path, the verified
// caller and its head.
func (i *Inspector) Plan(req *flow.Request) Plan {
	decides, tried := i.policiesFor(req)
	if decides == nil {
		return Plan{Off: true, owner: i}
	}
	plan := Plan{owner: i, rule: decides.ruleFor(req)}
	if tried != nil {
		plan.trial = tried.ruleFor(req)
		plan.trial.block, plan.trial.tried = false, true
	}
	plan.BodyBytes = max(plan.rule.bytes, plan.trial.bytes)
	plan.Free = !plan.rule.block
	// A rule of the policy's own may refuse what is missing of a body; those of the
	// rule set and the detectors only find what is there.
	plan.HeadFirst = !plan.Free && plan.rule.bytes > 0 && len(decides.source.extra) == 0
	plan.Watches, plan.WatchBytes = tried != nil, plan.trial.bytes
	if plan.Free {
		plan.Watches, plan.WatchBytes = true, plan.BodyBytes
	}
	return plan
}

// ruleFor is what the policy means for a request.
func (p *policy) ruleFor(req *flow.Request) rule {
	r := rule{policy: p, block: p.mode != config.DetectOnly && !p.trial}
	r.head, r.coding = headOnly(req)
	switch {
	case r.head == flow.Inspected && r.decided(req.Header):
	case r.head == flow.Inspected:
		r.bytes = int64(p.body.InspectBytes)
	case r.head == flow.Stream && req.GRPC && p.grpc.Inspect == config.GRPCUnary:
		r.head, r.call = flow.Inspected, formatOf(req.Header)
		r.bytes = framePrefix + int64(p.body.InspectBytes) + 1
	}
	return r
}

// decided tells that a body is known to be over the cap, and that policy then does not
// ask what is in it.
func (r rule) decided(h flow.Header) bool {
	switch r.policy.body.Overflow {
	case config.OverflowPass:
	case config.OverflowDeny:
		if !r.block {
			return false
		}
	case config.InspectPrefix:
		return false
	}
	return r.coding == noCoding && declaredLength(h) > int64(r.policy.body.InspectBytes)
}

// Wants is how many bytes of the body, from its first, the caller reads before it
// asks for the verdict, unless the body ends earlier. It depends on those that have
// been read: the caller asks again until there are as many.
func (p Plan) Wants(read []byte) int64 {
	return max(p.rule.wants(read), p.trial.wants(read))
}

// First is what inspection wants of a body that is there as a whole, and whether that is
// all of it.
func (p Plan) First(body []byte) (first []byte, complete bool) {
	n := min(p.BodyBytes, int64(len(body)))
	return body[:n], n == int64(len(body))
}

// Holds is what Wants is to the policy that decides alone: so much of the body is held
// back.
func (p Plan) Holds(read []byte) int64 {
	if p.Free {
		return 0
	}
	return p.rule.wants(read)
}

// policiesFor finds the policy that decides about a request, and the one that is
// tried beside it; nil for none. One that is tried where nothing decides is in force
// in its stead, and as it only watches, that is the same.
func (i *Inspector) policiesFor(req *flow.Request) (decides, tried *policy) {
	now := i.now()
	for _, p := range i.policies {
		if len(p.paths) > 0 && !matchPath(p.paths, req.Path) || p.percent > 0 && i.draw(100) >= p.percent {
			continue
		}
		own := p.forCaller(req.Conn.PeerID, now)
		switch {
		case !p.trial && own.mode == config.Off:
			return tried, nil
		case !p.trial:
			return own, tried
		case tried == nil && own.mode != config.Off:
			tried = own
		}
	}
	return tried, nil
}

// headOnly says why the body of a request cannot be inspected. What a client
// may merely claim must not be a way around inspection, so a body is taken for
// a stream only where the protocol makes it one: a tunnel, a request to upgrade
// that has no body, and gRPC where gRPC can be, on HTTP/2 and later.
//
// A body that is compressed in a way that can be undone comes with its coding.
func headOnly(req *flow.Request) (flow.Uninspected, coding) {
	c := bodyCoding(req.Header)
	if c == unknownCoding || c != noCoding && req.GRPC || isGRPCWeb(req.Header) && codingOf(req.Header) != noCoding {
		return flow.Encoding, noCoding
	}
	if req.Method == "CONNECT" || req.GRPC {
		return flow.Stream, noCoding
	}
	if _, ok := req.Header.Get("upgrade"); ok && strings.HasPrefix(req.Proto, "HTTP/1.") && !hasBody(req.Header) {
		return flow.Stream, noCoding
	}
	return flow.Inspected, c
}

// hasBody applies RFC 9112 §6.3 to a request.
func hasBody(h flow.Header) bool {
	if _, ok := h.Get("transfer-encoding"); ok {
		return true
	}
	n, ok := h.Get("content-length")
	return ok && strings.Trim(n, "0") != ""
}

// declaredLength is that of a body; -1 where the head declares none.
func declaredLength(h flow.Header) int64 {
	v, ok := h.Get("content-length")
	if !ok {
		return -1
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// isGRPCWeb tells a request of gRPC-Web, in either form.
func isGRPCWeb(h flow.Header) bool {
	const web = "application/grpc-web"
	t, _ := h.Get("content-type")
	return len(t) >= len(web) && strings.EqualFold(t[:len(web)], web)
}

// An input is what the engine gets besides the head.
type input struct {
	body []byte
	// partial tells that body is only the first part of the request's.
	partial bool
	// processor is what reads body; empty means that the rules decide.
	processor string
	// packed is the body as it came, if it still has to be decompressed; cut tells
	// that it is only the first part.
	packed []byte
	coding coding
	cut    bool
	// firstArguments tells that policy lets requests pass of which only the first
	// arguments are inspected.
	firstArguments bool
	// boundary separates the parts of a multipart form; empty for other bodies.
	boundary string
	// files tells that the files of a form are read, too.
	files bool
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
	// cpu is how much of a processor's time the inspection may take, and meter what
	// counts it; nil where it need not be counted. fine tells that one rule alone may
	// take long.
	cpu   time.Duration
	meter *meter
	fine  bool
	// clues are what the mesh profile's detectors have found.
	clues []evidence.Finding
	// checkpoint is called between two phases; its error ends the inspection.
	checkpoint func() error
}

// input applies a rule of the plan to what was read of the body. Where policy refuses
// the request for what was not inspected, done is true and the outcome final.
func (p Plan) input(r rule, body []byte, complete bool) (in input, outcome flow.Inspection, done bool) {
	switch {
	case r.first:
		in = input{headOnly: true}
	case r.head != flow.Inspected:
		in = input{headOnly: true, reason: r.head}
	case r.call.inspected:
		in = p.inputOfCall(r, body, complete)
	default:
		in = r.inputOfBody(body, complete)
	}
	outcome, done = r.settle(&in)
	return in, outcome, done
}

// settle completes an input once it is known why some of the request is not inspected.
func (r rule) settle(in *input) (outcome flow.Inspection, done bool) {
	if in.headOnly {
		in.body, in.partial = nil, false
	}
	in.cpu = r.policy.cpu
	in.firstArguments = r.block && !r.policy.denies(flow.Arguments)
	if !in.refused && !(r.block && r.refuses(in)) {
		return flow.Inspection{}, false
	}
	outcome = r.failure(in.reason, nil)
	outcome.Refuse = true
	return outcome, true
}

// refuses tells whether policy denies the reason. Further messages of a stream whose
// first was inspected have a setting of their own.
func (r rule) refuses(in *input) bool {
	if in.reason == flow.Stream && !in.headOnly {
		return false
	}
	return in.reason != flow.Inspected && r.policy.denies(in.reason)
}

func (r rule) inputOfBody(body []byte, complete bool) input {
	limit := r.policy.body.InspectBytes
	if r.coding != noCoding && len(body) > 0 {
		n := min(len(body), limit)
		return input{packed: body[:n], coding: r.coding, cut: !complete || n < len(body)}
	}
	if complete && len(body) <= limit {
		return input{body: body}
	}
	var in input
	r.overCap(&in, body[:min(len(body), limit)])
	return in
}
