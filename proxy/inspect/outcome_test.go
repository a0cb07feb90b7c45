package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// fakeEngine does what a test says and counts.
type fakeEngine struct {
	judge  func(*flow.Request, input) (finding, error)
	closed int
}

func (e *fakeEngine) prove(*flow.Request, *input) (finding, bool) { return finding{}, false }

func (e *fakeEngine) evaluate(req *flow.Request, in input) (finding, error) {
	return e.judge(req, in)
}
func (e *fakeEngine) close() { e.closed++ }

// withEngine makes an Inspector of one policy around a fake.
func withEngine(t *testing.T, e engine, spec config.InspectionSpec, opts Options) *Inspector {
	t.Helper()
	opts = opts.withDefaults()
	p, err := compile(policyDoc(spec), opts)
	if err != nil {
		t.Fatal(err)
	}
	p.engine = e
	i := newInspector(opts)
	i.policies, i.engines = []*policy{p}, []engine{e}
	return i
}

func clean(*flow.Request, input) (finding, error) { return finding{}, nil }

func found(*flow.Request, input) (finding, error) {
	return finding{attack: true, score: 5, rules: []int{942100}, message: "m", location: "ARGS:q"}, nil
}

// allFail sets every failure field.
func allFail(m config.FailureMode) config.OnFailure {
	return config.OnFailure{Error: m, Timeout: m, Overload: m, Encoding: m, Arguments: m}
}

func TestFailuresAreRefusedUnlessPolicyAllowsThem(t *testing.T) {
	errBroken := errors.New("broken")
	late := func(_ *flow.Request, in input) (finding, error) { return finding{}, in.checkpoint() }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel2 := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer cancel2()
	for _, tt := range []struct {
		name   string
		judge  func(*flow.Request, input) (finding, error)
		ctx    context.Context
		fields []string
		full   bool // every slot is taken
		reason flow.Uninspected
		err    error
	}{
		{name: "an error", judge: func(*flow.Request, input) (finding, error) { return finding{attack: true}, errBroken }, reason: flow.EngineError, err: errBroken},
		{name: "a panic", judge: func(*flow.Request, input) (finding, error) { panic("broken") }, reason: flow.EngineError, err: cmpopts.AnyError},
		{name: "a caller who left", judge: late, ctx: ended, reason: flow.EngineError, err: context.Canceled},
		{name: "a deadline", judge: late, ctx: expired, reason: flow.EngineTimeout},
		{name: "the budget", judge: func(*flow.Request, input) (finding, error) { return finding{}, errBudget }, reason: flow.EngineTimeout},
		{name: "overload", full: true, reason: flow.EngineOverload},
		{name: "a coding", judge: clean, fields: []string{"Content-Encoding: compress"}, reason: flow.Encoding},
	} {
		for _, mode := range []config.FailureMode{"", config.FailDeny, config.FailAllow} {
			for _, watch := range []bool{false, true} {
				name := tt.name + " with " + string(mode)
				spec := config.InspectionSpec{OnFailure: allFail(mode)}
				if watch {
					name += " in Detect"
					spec.Mode = config.DetectOnly
				}
				t.Run(name, func(t *testing.T) {
					i := withEngine(t, &fakeEngine{judge: tt.judge}, spec, Options{Concurrency: 1, Bounds: within(0, time.Hour)})
					if tt.full {
						i.lanes.engine.taken <- struct{}{}
					}
					ctx := tt.ctx
					if ctx == nil {
						ctx = t.Context()
					}
					req := request("POST", "/", tt.fields...)
					v := i.Inspect(ctx, req, i.Plan(req), []byte("body"), true)
					want := flow.Inspection{
						Outcome: flow.NotInspected, Uninspected: tt.reason, Policy: "shop/waf",
						Refuse: mode != config.FailAllow && !watch, Err: tt.err,
					}
					if diff := cmp.Diff(want, v, cmpopts.EquateErrors()); diff != "" {
						t.Errorf("-want +got:\n%s", diff)
					}
				})
			}
		}
	}
}

// Each field of onFailure is about its own reason.
func TestEachFailureHasItsOwnField(t *testing.T) {
	fields := map[flow.Uninspected]config.OnFailure{
		flow.EngineError:    {Error: config.FailAllow},
		flow.EngineTimeout:  {Timeout: config.FailAllow},
		flow.EngineOverload: {Overload: config.FailAllow},
		flow.Encoding:       {Encoding: config.FailAllow},
		flow.Arguments:      {Arguments: config.FailAllow},
		flow.Stream:         {Stream: config.FailAllow}, // which is its default
	}
	if len(fields) != flow.UninspectedCount-3 { // what was inspected, body.overflow, and what is never held
		t.Errorf("%d fields for %d reasons", len(fields), flow.UninspectedCount)
	}
	for reason, allow := range fields {
		allow.Stream = or(allow.Stream, config.FailDeny)
		p, err := compile(policyDoc(config.InspectionSpec{OnFailure: allow}), testOptions().withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		for other := range fields {
			if got := p.denies(other); got == (other == reason) {
				t.Errorf("%+v: denies(%s) = %t", allow, other, got)
			}
		}
	}
}

func or(a, b config.FailureMode) config.FailureMode {
	if a == "" {
		return b
	}
	return a
}

func TestTheBudgetIsCheckedBeforeTheLastPhase(t *testing.T) {
	i := mesh(t)
	now := testNow
	slow := newInspector(Options{Bounds: within(time.Hour, time.Second), Now: func() time.Time {
		now = now.Add(900 * time.Millisecond)
		return now
	}}.withDefaults())
	slow.policies = i.policies
	req := request("GET", "/?q=<script>alert(1)</script>")
	if v := slow.Inspect(t.Context(), req, slow.Plan(req), nil, true); v.Outcome != flow.Blocked {
		t.Errorf("within the budget: %+v", v)
	}
	slow.bounds = within(time.Hour, 500*time.Millisecond)
	v := slow.Inspect(t.Context(), req, slow.Plan(req), nil, true)
	if v.Uninspected != flow.EngineTimeout || !v.Refuse || v.Outcome != flow.NotInspected {
		t.Errorf("beyond the budget: %+v", v)
	}
}

func TestOverloadWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enter, leave := make(chan struct{}), make(chan struct{})
		running, most := 0, 0
		e := &fakeEngine{judge: func(*flow.Request, input) (finding, error) {
			running++ // one slot: nobody else is here
			most = max(most, running)
			enter <- struct{}{}
			<-leave
			running--
			return finding{}, nil
		}}
		i := withEngine(t, e, config.InspectionSpec{}, Options{Concurrency: 1, Bounds: within(time.Second, time.Hour)})
		results := make(chan flow.Inspection)
		ask := func() {
			req := request("GET", "/")
			results <- i.Inspect(t.Context(), req, i.Plan(req), nil, true)
		}
		go ask()
		<-enter
		go ask() // waits for the first, until the bubble's clock runs out on it
		if v := <-results; v.Uninspected != flow.EngineOverload || !v.Refuse {
			t.Errorf("the second: %+v", v)
		}
		go ask()
		synctest.Wait()
		leave <- struct{}{} // in time for the third
		<-enter
		leave <- struct{}{}
		for range 2 {
			if v := <-results; v.Outcome != flow.Clean {
				t.Errorf("the first and the third: %+v", v)
			}
		}
		if most != 1 {
			t.Errorf("%d at the same time", most)
		}
	})
}

func TestModes(t *testing.T) {
	attack := "/search?q=1%27%20OR%201=1--%20-"
	for _, tt := range []struct {
		name    string
		peer    string
		want    flow.Outcome
		refused bool
	}{
		{"Block refuses an attack", "spiffe://cluster.local/ns/shop/sa/checkout", flow.Blocked, true},
		{"a caller in Detect is not refused", batch, flow.Detected, false},
		{"another caller whose ID begins with it is", batch + "-2", flow.Blocked, true},
		{"a caller without identity is", "", flow.Blocked, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, mesh(t), from(tt.peer, request("GET", attack)), "")
			if v.Outcome != tt.want || v.Refuse != tt.refused {
				t.Errorf("verdict %+v", v)
			}
			if !hasFamily(v, 942) || v.Score < 5 || v.Location != "ARGS:q" {
				t.Errorf("verdict %+v names no cause", v)
			}
		})
	}
}

func TestCallerModes(t *testing.T) {
	for _, tt := range []struct {
		name       string
		principals []string
		peer       string
		match      bool
	}{
		{"an exact ID", []string{batch}, batch, true},
		{"another ID", []string{batch}, "spiffe://cluster.local/ns/shop/sa/other", false},
		{"the second of two", []string{"spiffe://x/a", batch}, batch, true},
		{"a prefix", []string{"spiffe://cluster.local/ns/shop/*"}, batch, true},
		{"a prefix of another domain", []string{"spiffe://other.local/*"}, batch, false},
		{"a suffix", []string{"*/sa/batch"}, batch, true},
		{"a suffix that reaches into the trust domain", []string{"*local/ns/shop/sa/batch"}, batch, false},
		{"anybody with an identity", []string{"*"}, batch, true},
		{"nobody without one", []string{"*"}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{
				Mode:    config.DetectOnly,
				Callers: []config.CallerInspection{{Principals: tt.principals, Mode: config.Off}},
			}, testOptions())
			if plan := i.Plan(from(tt.peer, request("GET", "/"))); plan.Off != tt.match {
				t.Errorf("off %t, want %t", plan.Off, tt.match)
			}
		})
	}
}

func TestBodiesOverTheCap(t *testing.T) {
	const capped = 1000
	filler := "note=" + strings.Repeat("a", capped) + "&x="
	attack := "q=<script>alert(1)</script>&" + filler
	unfinished := `{"q":"` + strings.Repeat("a", capped) + `"}`
	for _, tt := range []struct {
		name     string
		overflow config.Overflow
		typ      string
		body     string
		want     flow.Outcome
		reason   flow.Uninspected
		refused  bool
		bytes    int64
	}{
		{"a body up to the cap is inspected", config.OverflowDeny, formType, filler[:capped], flow.Clean, flow.Inspected, false, capped},
		{"InspectPrefix lets the rest pass", config.InspectPrefix, formType, filler, flow.Clean, flow.BodyOverCap, false, capped},
		{"InspectPrefix does not ask of a prefix that it parses", config.InspectPrefix, jsonType, unfinished, flow.Clean, flow.BodyOverCap, false, capped},
		{"InspectPrefix nor of a part of multipart", config.InspectPrefix, multi, part(`name="a"`, strings.Repeat("a", capped)), flow.Clean, flow.BodyOverCap, false, capped},
		{"InspectPrefix finds what is in it", config.InspectPrefix, formType, attack, flow.Blocked, flow.BodyOverCap, true, capped},
		{"InspectPrefix finds what is in one that does not parse", config.InspectPrefix, jsonType, `{"a":"<script>alert(1)</script>","b":` + unfinished, flow.Blocked, flow.BodyOverCap, true, capped},
		{"Deny refuses", config.OverflowDeny, formType, filler, flow.NotInspected, flow.BodyOverCap, true, 0},
		{"Pass inspects the head only", config.OverflowPass, formType, attack, flow.NotInspected, flow.BodyOverCap, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := sharedInspector(t, "overflow "+string(tt.overflow), config.InspectionSpec{
				Body: config.InspectionBody{InspectBytes: capped, Overflow: tt.overflow},
			})
			v := judge(t, i, request("POST", "/", tt.typ, "Content-Length: "+strconv.Itoa(len(tt.body))), tt.body)
			if v.Outcome != tt.want || v.Uninspected != tt.reason || v.Refuse != tt.refused || v.Bytes != tt.bytes {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	t.Run("Pass still refuses an attack in the head", func(t *testing.T) {
		i := sharedInspector(t, "overflow Pass", config.InspectionSpec{})
		v := judge(t, i, request("POST", "/?q=<script>alert(1)</script>", formType), filler)
		if v.Outcome != flow.Blocked || !v.Refuse {
			t.Errorf("verdict %+v", v)
		}
	})
	t.Run("more than was asked for is a body over the cap, too", func(t *testing.T) {
		i := sharedInspector(t, "overflow Deny", config.InspectionSpec{})
		req := request("POST", "/", formType)
		v := i.Inspect(t.Context(), req, i.Plan(req), []byte(filler), true)
		if v.Uninspected != flow.BodyOverCap || !v.Refuse {
			t.Errorf("verdict %+v", v)
		}
	})
}

func TestHeadsThatSayThereIsNothingToRead(t *testing.T) {
	h2 := func(r *flow.Request) *flow.Request { r.Proto = "HTTP/2.0"; return r }
	for _, tt := range []struct {
		name   string
		req    *flow.Request
		reason flow.Uninspected
	}{
		{"an upgrade", request("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade"), flow.Stream},
		{"an upgrade with a length of 0", request("GET", "/ws", "Upgrade: websocket", "Content-Length: 0"), flow.Stream},
		{"an upgrade with a body is none", request("POST", "/", "Upgrade: x", "Content-Length: 10"), flow.Inspected},
		{"an upgrade with a chunked body is none", request("POST", "/", "Upgrade: x", "Transfer-Encoding: chunked"), flow.Inspected},
		{"a tunnel", request("CONNECT", "db:5432"), flow.Stream},
		{"gRPC", call(), flow.Stream},
		{"gRPC-Web is none", h2(request("POST", "/s/M", "Content-Type: application/grpc-web+proto")), flow.Inspected},
		{"gRPC where it cannot be is none", request("POST", "/s/M", "Content-Type: application/grpc"), flow.Inspected},
		{"an event stream's body is the answer's", request("GET", "/e", "Accept: text/event-stream"), flow.Inspected},
		{"a coding that is undone", request("POST", "/", "Content-Encoding: GZip"), flow.Inspected},
		{"another", request("POST", "/", "Content-Encoding: zstd"), flow.Inspected},
		{"a coding that is not", request("POST", "/", "Content-Encoding: deflate"), flow.Encoding},
		{"a coding of a coding", request("POST", "/", "Content-Encoding: br", "Content-Encoding: br"), flow.Encoding},
		{"a coding of a gRPC call", func() *flow.Request {
			r := call()
			r.Header = append(r.Header.(header), [2]string{"content-encoding", "gzip"})
			return r
		}(), flow.Encoding},
		{"a second field", request("POST", "/", "Content-Encoding: identity", "Content-Encoding: br"), flow.Inspected},
		{"a list of codings", request("POST", "/", "Content-Encoding: identity, gzip"), flow.Encoding},
		{"no coding", request("POST", "/", "Content-Encoding: Identity"), flow.Inspected},
		{"a coding of an upgrade", request("POST", "/", "Upgrade: x", "Content-Encoding: gzip"), flow.Stream},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := mesh(t).Plan(tt.req)
			if plan.rule.head != tt.reason {
				t.Errorf("reason %s, want %s", plan.rule.head, tt.reason)
			}
			if wants := plan.BodyBytes > 0; wants != (tt.reason == flow.Inspected) {
				t.Errorf("wants %d bytes of the body", plan.BodyBytes)
			}
		})
	}
}

func TestTheHeadOfAStreamIsInspected(t *testing.T) {
	v := judge(t, mesh(t), request("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade"), "")
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.Stream || v.Refuse {
		t.Errorf("a stream: %+v", v)
	}
	v = judge(t, mesh(t), request("GET", "/ws?q=<script>alert(1)</script>", "Upgrade: websocket"), "")
	if v.Outcome != flow.Blocked || !v.Refuse {
		t.Errorf("an attack in its head: %+v", v)
	}
}

func TestTheHeadOfAnEncodedBodyIsInspectedWhereItIsAllowed(t *testing.T) {
	i := sharedInspector(t, "errors allowed", config.InspectionSpec{OnFailure: allFail(config.FailAllow)})
	v := judge(t, i, request("POST", "/", jsonType, "Content-Encoding: compress", "Content-Length: 4"), "\x1f\x8b\x08\x00")
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.Encoding || v.Refuse {
		t.Errorf("an encoded body: %+v", v)
	}
	v = judge(t, i, request("POST", "/?q=<script>alert(1)</script>", "Content-Encoding: compress"), "\x1f\x8b\x08\x00")
	if v.Outcome != flow.Blocked || !v.Refuse {
		t.Errorf("an attack in its head: %+v", v)
	}
}

// The evidence of an exclusion: every place, and how the rule read it.
func TestAVerdictNamesThePlaces(t *testing.T) {
	const sqli = "1' OR 1=1-- -"
	body := `{"items":[{"name":"a"},{"name":"` + sqli + `"}],"note":"` + sqli + `"}`
	v := judge(t, mesh(t), request("POST", "/", jsonType), body)
	for _, want := range []flow.Match{
		{Rule: 942100, Location: "ARGS:json.items.1.name", Decoded: "utf8toUnicode,urlDecodeUni,removeNulls"},
		{Rule: 942100, Location: "ARGS:json.note", Decoded: "utf8toUnicode,urlDecodeUni,removeNulls"},
	} {
		if !slices.Contains(v.Matches, want) {
			t.Errorf("places %+v, want %+v among them", v.Matches, want)
		}
	}
	if v := judge(t, mesh(t), request("GET", "/?<script>alert(1)</script>=x"), ""); len(v.Matches) == 0 || strings.Contains(fmt.Sprint(v.Matches), "script") {
		t.Errorf("places %+v, want some without the payload that is a name", v.Matches)
	}
}
