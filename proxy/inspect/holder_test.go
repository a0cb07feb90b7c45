package inspect

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestAHolderWithoutPoliciesRefuses(t *testing.T) {
	var h Holder
	req := request("GET", "/")
	plan := h.Plan(req)
	if plan.Off || plan.BodyBytes != 0 || !h.Active() {
		t.Errorf("plan %+v, active %t", plan, h.Active())
	}
	v := h.Decide(t.Context(), req, plan, Seen{Complete: true})
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.EngineError || !v.Refuse || !errors.Is(v.Err, errNoPolicy) {
		t.Errorf("verdict %+v", v)
	}
}

func TestANewSetAppliesToRequestsUnderWay(t *testing.T) {
	block := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{}, testOptions())
	watch := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{Mode: config.DetectOnly, Body: config.InspectionBody{InspectBytes: 1 << 20}}, testOptions())
	off := newInspector(testOptions())
	var h Holder
	h.Swap(block)
	req := request("POST", "/")
	plan := h.Plan(req)
	body := make([]byte, plan.BodyBytes)

	h.Swap(watch)
	v := h.Decide(t.Context(), req, plan, Seen{Body: body})
	if v.Outcome != flow.Detected || v.Refuse || v.Uninspected != flow.BodyOverCap || v.Bytes != int64(len(body)) {
		t.Errorf("in Detect, with a longer cap: %+v", v)
	}
	h.Swap(off)
	if v := h.Decide(t.Context(), req, plan, Seen{Body: body}); v.Outcome != flow.InspectionOff || v.Refuse {
		t.Errorf("off: %+v", v)
	}
	h.Close()
	if v := h.Decide(t.Context(), req, plan, Seen{Body: body}); !v.Refuse {
		t.Errorf("closed: %+v", v)
	}
}

// swapping is a header that lets something happen when it is first looked at.
type swapping struct {
	header
	once func()
}

func (s *swapping) Get(name string) (string, bool) {
	if f := s.once; f != nil {
		s.once = nil
		f()
	}
	return s.header.Get(name)
}

func TestASwapBetweenLoadAndTransactionIsRetried(t *testing.T) {
	old := withEngine(t, &fakeEngine{judge: clean}, config.InspectionSpec{}, testOptions())
	next := withEngine(t, &fakeEngine{judge: found}, config.InspectionSpec{}, testOptions())
	var h Holder
	defer h.Close()
	h.Swap(old)
	req := request("GET", "/")
	req.Header = &swapping{once: func() { h.Swap(next) }}
	// The empty plan makes the old one look at the header and be closed then.
	if v := h.Decide(t.Context(), req, Plan{}, Seen{Complete: true}); v.Outcome != flow.Blocked {
		t.Errorf("verdict %+v", v)
	}
	next.Close()
	if v := h.Decide(t.Context(), req, Plan{}, Seen{Complete: true}); !v.Refuse || !errors.Is(v.Err, errClosed) {
		t.Errorf("closed by somebody else: %+v", v)
	}
}

func TestABadSetKeepsTheOld(t *testing.T) {
	var h Holder
	h.Swap(build(t, config.InspectionSpec{}))
	next, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{Rules: "SecRule ARGS"})}, testOptions())
	if err == nil || next != nil {
		t.Fatalf("New: %v, %v", next, err)
	}
	req := request("GET", "/?q=<script>alert(1)</script>")
	if v := h.Decide(t.Context(), req, h.Plan(req), Seen{Complete: true}); v.Outcome != flow.Blocked {
		t.Errorf("verdict %+v", v)
	}
}

func TestCloseWaitsForTransactions(t *testing.T) {
	enter, leave := make(chan struct{}), make(chan struct{})
	e := &fakeEngine{judge: func(*flow.Request, input) (finding, error) {
		close(enter)
		<-leave
		return finding{}, nil
	}}
	i := withEngine(t, e, config.InspectionSpec{}, testOptions())
	req := request("GET", "/")
	verdict := make(chan flow.Inspection, 1)
	go func() { verdict <- i.Inspect(t.Context(), req, i.Plan(req), nil, true) }()
	<-enter
	closed := make(chan struct{})
	go func() { i.Close(); close(closed) }()
	for {
		i.mu.RLock()
		refusing := i.closed
		i.mu.RUnlock()
		if refusing {
			break
		}
		runtime.Gosched()
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	if v := i.Inspect(t.Context(), req, i.Plan(req), nil, true); !v.Refuse || !errors.Is(v.Err, errClosed) {
		t.Errorf("a transaction after Close: %+v", v)
	}
	close(leave)
	<-closed
	if v := <-verdict; v.Outcome != flow.Clean {
		t.Errorf("the transaction that ran: %+v", v)
	}
	i.Close()
	if e.closed != 1 {
		t.Errorf("the engine was closed %d times", e.closed)
	}
}

// guarded is an engine that knows when it is used after its end.
type guarded struct {
	closed     atomic.Bool
	running    atomic.Int32
	violations *atomic.Int32
}

func (g *guarded) prove(*flow.Request, *input) (finding, bool) { return finding{}, false }

func (g *guarded) evaluate(*flow.Request, input) (finding, error) {
	g.running.Add(1)
	defer g.running.Add(-1)
	if g.closed.Load() {
		g.violations.Add(1)
	}
	return finding{attack: true}, nil
}

func (g *guarded) close() {
	if g.running.Load() != 0 {
		g.violations.Add(1)
	}
	g.closed.Store(true)
}

func TestSwapUnderLoadLosesNothing(t *testing.T) {
	const callers, each, swaps = 8, 500, 200
	var violations atomic.Int32
	next := func() *Inspector {
		return withEngine(t, &guarded{violations: &violations}, config.InspectionSpec{}, testOptions())
	}
	var h Holder
	h.Swap(next())
	var blocked atomic.Int32
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				req := request("GET", "/")
				if v := h.Decide(t.Context(), req, h.Plan(req), Seen{Complete: true}); v.Outcome == flow.Blocked {
					blocked.Add(1)
				}
			}
		})
	}
	for range swaps {
		h.Swap(next())
	}
	wg.Wait()
	h.Close()
	if n := blocked.Load(); n != callers*each {
		t.Errorf("%d verdicts of %d", n, callers*each)
	}
	if n := violations.Load(); n != 0 {
		t.Errorf("%d uses of an engine that was closed", n)
	}
}

// The same with the real engine: fewer rounds, as building one takes long.
func TestSwapUnderLoadWithTheRealEngine(t *testing.T) {
	const callers, each, swaps = 4, 20, 3
	var h Holder
	next := func() *Inspector {
		i, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{})}, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	h.Swap(next())
	var wrong atomic.Int32
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := range each {
				req, want := request("GET", "/?q=1"), flow.Clean
				if n%2 == 0 {
					req, want = request("GET", "/?q=<script>alert(1)</script>"), flow.Blocked
				}
				if v := h.Decide(t.Context(), req, h.Plan(req), Seen{Complete: true}); v.Outcome != want {
					wrong.Add(1)
				}
			}
		})
	}
	for range swaps {
		h.Swap(next())
	}
	wg.Wait()
	h.Close()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d wrong verdicts", n)
	}
}

func TestWhichPolicyApplies(t *testing.T) {
	doc := func(ns, name string, labels map[string]string, paths ...string) config.InspectionPolicy {
		var p config.InspectionPolicy
		p.Metadata.Namespace, p.Metadata.Name = ns, name
		if labels != nil {
			p.Spec.Selector = &authz.Selector{MatchLabels: labels}
		}
		p.Spec.Paths = paths
		return p
	}
	app := map[string]string{"app": "payments"}
	for _, tt := range []struct {
		name string
		docs []config.InspectionPolicy
		path string
		want string
	}{
		{"none for none", nil, "/", ""},
		{"the one there is", []config.InspectionPolicy{doc("shop", "a", nil)}, "/", "shop/a"},
		{"none of another namespace", []config.InspectionPolicy{doc("bank", "a", nil)}, "/", ""},
		{"none for another label", []config.InspectionPolicy{doc("shop", "a", map[string]string{"app": "web"})}, "/", ""},
		{"none for a label the workload lacks", []config.InspectionPolicy{doc("shop", "a", map[string]string{"tier": ""})}, "/", ""},
		{"one of all namespaces", []config.InspectionPolicy{doc("", "a", nil)}, "/", "a"},
		{"its namespace before all", []config.InspectionPolicy{doc("", "a", nil), doc("shop", "b", nil)}, "/", "shop/b"},
		{"labels before none", []config.InspectionPolicy{doc("shop", "a", nil), doc("shop", "b", app)}, "/", "shop/b"},
		{"labels before a namespace", []config.InspectionPolicy{doc("shop", "a", nil), doc("", "b", app)}, "/", "b"},
		{"the first by name", []config.InspectionPolicy{doc("shop", "b", nil), doc("shop", "a", nil)}, "/", "shop/a"},
		{"a path before all", []config.InspectionPolicy{doc("shop", "a", app), doc("shop", "b", nil, "/x/*")}, "/x/1", "shop/b"},
		{"all where the path is another", []config.InspectionPolicy{doc("shop", "a", app), doc("shop", "b", nil, "/x/*")}, "/y", "shop/a"},
		{"none where the path is another", []config.InspectionPolicy{doc("shop", "b", nil, "/x/*")}, "/y", ""},
		{"a path by what its escapes stand for", []config.InspectionPolicy{doc("shop", "b", nil, "/a b")}, "/a%20b", "shop/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := testOptions()
			i := newInspector(opts)
			for _, d := range choose(tt.docs, payments) {
				p, err := compile(d, opts.withDefaults())
				if err != nil {
					t.Fatal(err)
				}
				i.policies = append(i.policies, p)
			}
			plan, got := i.Plan(request("GET", tt.path)), ""
			if !plan.Off {
				got = plan.rule.policy.name
			}
			if got != tt.want {
				t.Errorf("%q applies, want %q", got, tt.want)
			}
		})
	}
}

func TestNoEngineIsBuiltWithoutNeed(t *testing.T) {
	spec := config.InspectionSpec{}
	other := policyDoc(spec)
	other.Metadata.Namespace = "bank"
	twin := policyDoc(config.InspectionSpec{Mode: config.DetectOnly, Paths: []string{"/x"}})
	twin.Metadata.Name = "twin"
	for _, tt := range []struct {
		name string
		docs []config.InspectionPolicy
		want int
	}{
		{"without policies", nil, 0},
		{"with one that is off", []config.InspectionPolicy{policyDoc(config.InspectionSpec{Mode: config.Off})}, 0},
		{"with one for others", []config.InspectionPolicy{other}, 0},
		{"with one that is off but for a caller", []config.InspectionPolicy{policyDoc(config.InspectionSpec{
			Mode: config.Off, Callers: []config.CallerInspection{{Principals: []string{batch}, Mode: config.Block}},
		})}, 1},
		{"with two that need the same", []config.InspectionPolicy{policyDoc(spec), twin}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := New(tt.docs, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			if len(i.engines) != tt.want {
				t.Errorf("%d engines, want %d", len(i.engines), tt.want)
			}
			if i.Active() != (tt.want > 0) {
				t.Errorf("active %t", i.Active())
			}
			if off := i.Plan(from("", request("GET", "/"))).Off; off != (tt.want == 0 || tt.docs[0].Spec.Mode == config.Off) {
				t.Errorf("off %t", off)
			}
		})
	}
}
