package inspect

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// holding has an Inspector in force.
func holding(i *Inspector) *Holder {
	h := new(Holder)
	h.current.Store(i)
	return h
}

func TestPlansSayWhoWaits(t *testing.T) {
	length := func(n int) string { return "Content-Length: " + strconv.Itoa(n) }
	overflow := func(o config.Overflow, more string) config.InspectionSpec {
		return config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 1000, Overflow: o}, Rules: more}
	}
	own := `SecRule ARGS:x "@streq y" "id:1,phase:2,deny"`
	cases := []struct {
		name      string
		spec      config.InspectionSpec
		caller    string
		fields    []string
		free      bool
		holds     int64
		headFirst bool
		watches   int64 // -1 for nobody
	}{
		{"a body that may be refused", overflow(config.InspectPrefix, ""), "", nil, false, 1000, true, -1},
		{"the same, with a length", overflow(config.InspectPrefix, ""), "", []string{length(2000)}, false, 1000, true, -1},
		{"the same, with rules of the policy's own", overflow(config.InspectPrefix, own), "", nil, false, 1000, false, -1},
		{"Deny, of an unknown length", overflow(config.OverflowDeny, ""), "", nil, false, 1000, true, -1},
		{"Deny, and it is longer", overflow(config.OverflowDeny, ""), "", []string{length(1001)}, false, 0, false, -1},
		{"Deny, and it is as long", overflow(config.OverflowDeny, ""), "", []string{length(1000)}, false, 1000, true, -1},
		{"Deny, and how long it is compressed says nothing", overflow(config.OverflowDeny, ""), "", []string{length(1001), "Content-Encoding: gzip"}, false, 1000, true, -1},
		{"Pass, and it is longer", overflow(config.OverflowPass, ""), "", []string{length(1001)}, false, 0, false, -1},
		{"a stream", overflow(config.InspectPrefix, ""), "", []string{"Upgrade: websocket"}, false, 0, false, -1},
		{"only watched", overflow(config.InspectPrefix, ""), batch, nil, true, 0, false, 1000},
		{"only watched, Deny, and it is longer", overflow(config.OverflowDeny, ""), batch, []string{length(1001)}, true, 0, false, 1000},
		{"only watched, Pass, and it is longer", overflow(config.OverflowPass, ""), batch, []string{length(1001)}, true, 0, false, 0},
	}
	if len(cases) < 12 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		c.spec.Callers = []config.CallerInspection{{Principals: []string{batch}, Mode: config.DetectOnly}}
		i := sharedInspector(t, "plans "+string(c.spec.Body.Overflow)+c.spec.Rules, c.spec)
		p := i.Plan(from(c.caller, request("POST", "/", c.fields...)))
		watches := int64(-1)
		if p.Watches {
			watches = p.WatchBytes
		}
		if p.Free != c.free || p.Holds(nil) != c.holds || p.HeadFirst != c.headFirst || watches != c.watches {
			t.Errorf("%s: free %t, holds %d, head first %t, watches %d", c.name, p.Free, p.Holds(nil), p.HeadFirst, watches)
		}
	}
}

// What is decided without a body is what would be decided with it.
func TestALengthDecidesAsTheBodyWould(t *testing.T) {
	body := strings.Repeat("a=1&", 500)
	for _, overflow := range []config.Overflow{config.OverflowDeny, config.OverflowPass} {
		for _, target := range []string{"/", sqli} {
			i := sharedInspector(t, "plans "+string(overflow), config.InspectionSpec{
				Body:    config.InspectionBody{InspectBytes: 1000, Overflow: overflow},
				Callers: []config.CallerInspection{{Principals: []string{batch}, Mode: config.DetectOnly}},
			})
			chunked := judge(t, i, request("POST", target, formType, "Transfer-Encoding: chunked"), body)
			req := request("POST", target, formType, "Content-Length: 2000")
			if got := i.Inspect(t.Context(), req, i.Plan(req), nil, false); !cmp.Equal(got, chunked, cmpopts.EquateErrors()) {
				t.Errorf("%s, %s: %+v, but %+v with the body", overflow, target, got, chunked)
			}
		}
	}
}

// What is refused for its head is refused with its body as well.
func TestHeadsAreRefusedAsRequestsWouldBe(t *testing.T) {
	samples := ruleSetSamples(t)
	for name, i := range map[string]*Inspector{"mesh": mesh(t), "crs": stock(t)} {
		h := holding(i)
		refused, kept := 0, 0
		for _, s := range samples {
			plan := h.Plan(s.req)
			if s.body == "" || !plan.HeadFirst {
				continue
			}
			if head := h.DecideHead(t.Context(), s.req, plan); !head.Refuse {
				kept++
				continue
			}
			refused++
			n := min(int64(len(s.body)), plan.Holds(nil))
			if v := h.Decide(t.Context(), s.req, plan, Seen{Body: []byte(s.body[:n]), Complete: n == int64(len(s.body))}); !v.Refuse {
				t.Errorf("%s: %s is refused for its head, and then %+v", name, s.name, v)
			}
		}
		t.Logf("%s: %d heads refused, %d not", name, refused, kept)
		if refused < 40 || kept < 500 {
			t.Errorf("%s: too few to tell", name)
		}
	}
}

// That a body is still to come is no reason to refuse a head, whatever would be one
// when it has come.
func TestAHeadIsNotRefusedForWantOfItsBody(t *testing.T) {
	deny := sharedInspector(t, "overflow Deny", config.InspectionSpec{
		Body: config.InspectionBody{InspectBytes: 1000, Overflow: config.OverflowDeny},
	})
	for name, c := range map[string]struct {
		i   *Inspector
		req *flow.Request
	}{
		"a body that must not be long": {deny, request("POST", "/", jsonType)},
		"a compressed body":            {deny, request("POST", "/", jsonType, "Content-Encoding: gzip")},
		"a single message of gRPC":     {onlyUnary(t), call()},
	} {
		h := holding(c.i)
		plan := h.Plan(c.req)
		if v := h.DecideHead(t.Context(), c.req, plan); !plan.HeadFirst || v.Refuse {
			t.Errorf("%s: head first %t, %+v", name, plan.HeadFirst, v)
		}
	}
}

// The rules change while a request is forwarded: it is looked at by the new ones, and
// not refused any more.
func TestWhatWasForwardedIsNotRefused(t *testing.T) {
	watch := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{Mode: config.DetectOnly}, testOptions())
	block := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{}, testOptions())
	off := newInspector(testOptions())
	seen := Seen{Body: []byte("a=1"), Complete: true}
	h := holding(watch)
	req := request("POST", "/")
	plan := h.Plan(req)
	for name, c := range map[string]struct {
		now    *Inspector
		want   flow.Outcome
		reason flow.Uninspected
	}{
		"the same":    {watch, flow.Detected, flow.Inspected},
		"Block":       {block, flow.Detected, flow.Inspected},
		"Off":         {off, flow.InspectionOff, flow.Inspected},
		"none at all": {nil, flow.NotInspected, flow.EngineError},
	} {
		h.current.Store(c.now)
		if v := h.Watch(t.Context(), req, plan, seen); v.Outcome != c.want || v.Uninspected != c.reason || v.Refuse {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// A verdict that was made is not changed by those that only look.
func TestATrialChangesNoVerdict(t *testing.T) {
	h := holding(tryingInspector(t))
	req := request("POST", "/?word=x", formType)
	plan := h.Plan(req)
	if plan.Free || !plan.Watches {
		t.Fatalf("the plan is %+v", plan)
	}
	req.Inspection = h.Decide(t.Context(), req, plan, Seen{Complete: true})
	if req.Inspection.Outcome != flow.Clean || req.Inspection.Trial != nil {
		t.Fatalf("decided %+v", req.Inspection)
	}
	req.Inspection.Score = 3 // a mark
	v := h.Watch(t.Context(), req, plan, Seen{Complete: true})
	if v.Outcome != flow.Clean || v.Score != 3 || v.Trial == nil || v.Trial.Outcome != flow.Detected || v.Trial.Refuse {
		t.Errorf("tried %+v, %+v", v, v.Trial)
	}
	if v := plan.Unwatched(req); v.Outcome != flow.Clean || v.Trial.Uninspected != flow.EngineOverload || v.Trial.Refuse {
		t.Errorf("not tried %+v, %+v", v, v.Trial)
	}
	h.current.Store(nil)
	if v := h.Watch(t.Context(), req, plan, Seen{Complete: true}); v.Outcome != flow.Clean || v.Refuse {
		t.Errorf("with nothing in force: %+v", v)
	}
}

// tryingInspector blocks, and tries a rule of its own beside that.
func tryingInspector(t *testing.T) *Inspector {
	t.Helper()
	tried := policyDoc(config.InspectionSpec{
		Rollout: &config.Rollout{Percent: 100}, Rules: `SecRule ARGS:word "@streq x" "id:1,phase:2,deny,msg:'no x'"`,
	})
	tried.Metadata.Name = "next"
	i, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{}), tried}, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// What ended too early is looked at as far as it came.
func TestWhatIsUnfinishedIsAPrefix(t *testing.T) {
	h := holding(mesh(t))
	attack := `{"a":"1' UNION SELECT password FROM users-- -","b":"`
	cases := []struct {
		name   string
		req    *flow.Request
		seen   Seen
		want   flow.Outcome
		reason flow.Uninspected
	}{
		{"clean so far", request("POST", "/", jsonType), Seen{Body: []byte(`{"a":`)}, flow.Clean, flow.Unfinished},
		{"an attack so far", request("POST", "/", jsonType), Seen{Body: []byte(attack)}, flow.Detected, flow.Unfinished},
		{"nothing has come", request("POST", "/", jsonType), Seen{}, flow.Clean, flow.Unfinished},
		{"all of it", request("POST", "/", jsonType), Seen{Body: []byte(`{"a":1}`), Complete: true}, flow.Clean, flow.Inspected},
		{"as much as is wanted", request("POST", "/", "Content-Type: text/plain"), Seen{Body: make([]byte, 16384)}, flow.Clean, flow.BodyOverCap},
	}
	if len(cases) < 5 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		req := from(batch, c.req)
		v := h.Watch(t.Context(), req, h.Plan(req), c.seen)
		if v.Outcome != c.want || v.Uninspected != c.reason || v.Refuse {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}
