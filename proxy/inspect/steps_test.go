package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// fill takes every slot of a lane, as that many requests would that take long.
func fill(t *testing.T, s slots) {
	t.Helper()
	for range cap(s.taken) {
		s.taken <- struct{}{}
	}
	t.Cleanup(func() {
		for range cap(s.taken) {
			s.release()
		}
	})
}

// What the engine has to look at is refused when it is busy. What it need not look at
// passes at once.
func TestWhatIsProvedDoesNotWaitForTheEngine(t *testing.T) {
	opts := testOptions()
	opts.Bounds = within(0, time.Minute)
	i, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{
		Callers: []config.CallerInspection{{Principals: []string{batch}, Mode: config.Off}},
	})}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	fill(t, i.lanes.engine)
	values := "[" + strings.Repeat("1,", maxArguments) + "1]"
	cases := []struct {
		name   string
		req    *flow.Request
		body   string
		want   flow.Outcome
		reason flow.Uninspected
	}{
		{"a clean GET", request("GET", "/v1/charges?limit=10"), "", flow.Clean, flow.Inspected},
		{"clean JSON", request("POST", "/v1/charges", jsonType, "Content-Length: 34"), `{"amount":12,"note":"two coffees"}`, flow.Clean, flow.Inspected},
		{"the head of a stream", request("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade"), "", flow.NotInspected, flow.Stream},
		{"a caller that is not inspected", from(batch, request("GET", sqli)), "", flow.InspectionOff, flow.Inspected},
		{"more values than are inspected", request("POST", "/", jsonType), values, flow.NotInspected, flow.Arguments},
		{"what the engine has to look at", request("GET", sqli), "", flow.NotInspected, flow.EngineOverload},
		{"a body that only it reads", request("POST", "/", multi), part(`name="a"`, "x") + "--b--\r\n", flow.NotInspected, flow.EngineOverload},
	}
	const minimum = 7
	if len(cases) < minimum {
		t.Errorf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		if v := judge(t, i, tt.req, tt.body); v.Outcome != tt.want || v.Uninspected != tt.reason {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
}

// A proving engine settles what it is told to, and else asks.
type provingEngine struct {
	fakeEngine
	proves bool
}

func (e *provingEngine) prove(*flow.Request, *input) (finding, bool) { return finding{}, e.proves }

// withTrial makes an Inspector with a policy that decides and one that is tried.
func withTrial(t *testing.T, decides, tried engine) *Inspector {
	t.Helper()
	i := withEngine(t, decides, config.InspectionSpec{}, Options{Concurrency: 2, Bounds: within(time.Minute, time.Hour)})
	p, err := compile(policyDoc(config.InspectionSpec{Rollout: &config.Rollout{Percent: 100}}), Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	p.engine = tried
	i.policies = []*policy{p, i.policies[0]}
	return i
}

func TestTrialsTakeNothingFromWhatDecides(t *testing.T) {
	var i *Inspector
	ran := 0
	tried := &fakeEngine{judge: func(*flow.Request, input) (finding, error) {
		ran++
		if n := len(i.lanes.engine.taken) + len(i.lanes.proofs.taken); n != 0 {
			t.Errorf("a trial has %d slots of those that decide", n)
		}
		return finding{attack: true}, nil
	}}
	i = withTrial(t, &provingEngine{proves: true}, tried)
	req := request("GET", "/")
	ask := func() flow.Inspection { return i.Inspect(t.Context(), req, i.Plan(req), nil, true) }
	if v := ask(); v.Outcome != flow.Clean || v.Trial == nil || v.Trial.Outcome != flow.Detected {
		t.Errorf("with slots free: %+v, %+v", v, v.Trial)
	}
	for name, s := range map[string]slots{"the engine": i.lanes.engine, "the trials": i.trials.engine} {
		t.Run(name+" is busy", func(t *testing.T) {
			fill(t, s)
			v := ask()
			if v.Outcome != flow.Clean || v.Refuse {
				t.Errorf("verdict %+v", v)
			}
			if tr := v.Trial; tr == nil || tr.Outcome != flow.NotInspected || tr.Uninspected != flow.EngineOverload || tr.Refuse {
				t.Errorf("trial %+v", v.Trial)
			}
		})
	}
	if ran != 1 {
		t.Errorf("%d trials ran, want 1", ran)
	}
}

// One who waits for a proof waits no longer than policy says, nor does one whose caller
// has left.
func TestProofsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := withEngine(t, &provingEngine{proves: true}, config.InspectionSpec{}, Options{Concurrency: 1, Bounds: within(time.Second, time.Hour)})
		i.lanes.proofs.taken <- struct{}{}
		if small := request("GET", "/"); i.Inspect(t.Context(), small, i.Plan(small), nil, true).Outcome != flow.Clean {
			t.Error("what takes microseconds has to wait")
		}
		req := request("GET", "/?"+strings.Repeat("a", minFine))
		if v := i.Inspect(t.Context(), req, i.Plan(req), nil, true); v.Uninspected != flow.EngineOverload || !v.Refuse {
			t.Errorf("without a slot: %+v", v)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if v := i.Inspect(ctx, req, i.Plan(req), nil, true); v.Uninspected != flow.EngineError || !v.Refuse {
			t.Errorf("without a caller: %+v", v)
		}
	})
}

// What an engine's first step does wrong ends as what its second does.
func TestTheFirstStepFailsClosed(t *testing.T) {
	broken := &brokenProof{}
	i := withEngine(t, broken, config.InspectionSpec{}, testOptions())
	req := request("GET", "/")
	if v := i.Inspect(t.Context(), req, i.Plan(req), nil, true); v.Uninspected != flow.EngineError || !v.Refuse || v.Err == nil {
		t.Errorf("a panic: %+v", v)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer cancel()
	broken.well = true
	if v := i.Inspect(expired, req, i.Plan(req), nil, true); v.Uninspected != flow.EngineTimeout || !v.Refuse {
		t.Errorf("a deadline: %+v", v)
	}
	broken.proves = true
	if v := i.Inspect(expired, req, i.Plan(req), nil, true); v.Outcome != flow.Clean || v.Refuse {
		t.Errorf("a proof that is there, a deadline: %+v", v)
	}
}

type brokenProof struct {
	fakeEngine
	well, proves bool
}

func (e *brokenProof) prove(*flow.Request, *input) (finding, bool) {
	if !e.well {
		panic("broken")
	}
	return finding{}, e.proves
}

// Arguments cost the same wherever they stand, so their time is counted in each place.
func TestTheTimeIsCountedWhereverArgumentsStand(t *testing.T) {
	i := build(t, config.InspectionSpec{CPUMillis: 1})
	many := strings.Repeat("a=1'&", 900)
	for _, tt := range []struct {
		name string
		req  *flow.Request
		body string
	}{
		{"in the target", request("GET", "/?"+many), ""},
		{"in a short body", request("POST", "/", formType), strings.Repeat("a'&", 300)},
		{"in cookies", request("GET", "/", "Cookie: "+strings.Repeat("a=1';", 900)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if v := judge(t, i, tt.req, tt.body); v.Uninspected != flow.EngineTimeout || !v.Refuse {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestAMeterEndsBeforeItsLimit(t *testing.T) {
	var now time.Duration
	m := newMeter(20 * time.Millisecond)
	m.read = func() time.Duration { return now }
	stop := m.start()
	for step, want := range []struct {
		takes time.Duration
		up    bool
	}{{time.Millisecond, false}, {8 * time.Millisecond, false}, {time.Millisecond, false}, {3 * time.Millisecond, true}} {
		now += want.takes
		if up := m.up(); up != want.up {
			t.Errorf("step %d: %t after %v of %v, the longest step %v", step, up, m.spent, m.limit, m.longest)
		}
	}
	now += time.Millisecond
	stop()
	if m.spent != 14*time.Millisecond {
		t.Errorf("%v are spent", m.spent)
	}
	now += time.Hour // others have the thread
	defer m.start()()
	if m.up() || !m.affords(6*bytesPerMillisecond) || m.affords(7*bytesPerMillisecond) {
		t.Errorf("%v are spent when it goes on", m.spent)
	}
	var none *meter
	none.start()()
	if none.up() || !none.affords(1<<30) || none.stopper(1<<30) != nil {
		t.Error("no meter ends")
	}
}

// A body that there is no time to take apart is not begun with.
func TestWhatCannotBeAffordedIsNotBegun(t *testing.T) {
	e := rulesOf(mesh(t).engines[0])
	in := input{
		meter: newMeter(time.Millisecond), now: testNow, checkpoint: func() error { return errors.New("it has begun") },
		body: []byte(strings.Repeat("a", 2*bytesPerMillisecond)),
	}
	if _, err := e.evaluate(request("POST", "/", formType), in); !errors.Is(err, errBudget) {
		t.Errorf("error %v", err)
	}
}

// Detectors and gate look at the clock, too, in what is long.
func TestTheFirstStepEndsWhenItsTimeIsUp(t *testing.T) {
	i := build(t, config.InspectionSpec{CPUMillis: 1, Body: config.InspectionBody{InspectBytes: 1 << 20}})
	var b strings.Builder
	for n := range 900 {
		fmt.Fprintf(&b, "%d=%s&", n, strings.Repeat("some words of a text ", 40))
	}
	fill(t, i.lanes.engine)
	i.bounds = within(0, time.Minute)
	if v := judge(t, i, request("POST", "/", formType), b.String()); v.Uninspected != flow.EngineTimeout || !v.Refuse {
		t.Errorf("verdict %+v", v)
	}
}

// Clients of requests that are only watched wait for no verdict, so there may be hundreds
// of those to be made. They do not queue up in front of a request that is held.
func TestWhatDecidesDoesNotWaitBehindAllThatWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 300 * time.Millisecond
		slow := &fakeEngine{judge: func(*flow.Request, input) (finding, error) {
			<-time.After(takes)
			return finding{}, nil
		}}
		i := withEngine(t, slow, config.InspectionSpec{}, Options{Concurrency: 1, Bounds: within(time.Second, time.Hour)})
		h := holding(i)
		watching := i.Plan(request("GET", "/"))
		watching.Free, watching.rule.block = true, false
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { h.Watch(t.Context(), request("GET", "/"), watching, Seen{Complete: true}) })
		}
		synctest.Wait()
		req := request("GET", "/")
		if v := h.Decide(t.Context(), req, i.Plan(req), Seen{Complete: true}); v.Outcome != flow.Clean {
			t.Errorf("verdict %+v", v)
		}
		all.Wait()
		if n := len(i.lanes.engine.taken) + len(i.watches.engine.taken); n != 0 {
			t.Errorf("%d slots are not given back", n)
		}
	})
}
