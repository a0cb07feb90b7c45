package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
)

// An order is what the control plane's process is told to do.
type order struct {
	// Op is one of the constants below.
	Op string
	// Namespace, Name and Labels are those of a policy.
	Namespace, Name string
	Labels          map[string]any
	// Service is the one of which an endpoint changes.
	Service int
	// Expect is how many sidecars are concerned.
	Expect int
}

const (
	opState    = "state"    // nothing; say how it is
	opPolicy   = "policy"   // change a policy
	opEndpoint = "endpoint" // change an endpoint's readiness
	opWait     = "wait"     // until so many have been sent their first documents
)

// An answer is what came of an order.
type answer struct {
	// To99 and ToAll are how long it took from the write until 99 in 100 and all of
	// those concerned had acknowledged it.
	To99, ToAll time.Duration
	// CPU is what the process used for it, Bytes and Responses what it sent.
	CPU              time.Duration
	Bytes, Responses float64
	// State is how the process is afterwards.
	State state
}

// A state is how the control plane's process is.
type state struct {
	Sidecars, Goroutines int
	// RSS is what the process occupies, Heap and Stacks what it uses of that, Model
	// what of the heap informers and model keep of the cluster; in bytes.
	RSS, Heap, Stacks, Model uint64
}

// patience is how long a change may take before the run is given up.
const patience = 2 * time.Minute

func (p *plane) obey(ctx context.Context, o order) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch o.Op {
	case opState:
		return answer{State: p.state()}, nil
	case opWait:
		a := p.watch(ctx, "document", 0, o.Expect, time.Now())
		a.State = p.state()
		return a, ctx.Err()
	case opPolicy:
		before, began, used := p.acked("document"), time.Now(), processorTime()
		sent := p.sent()
		if err := p.write(ctx, o); err != nil {
			return answer{}, err
		}
		a := p.watch(ctx, "document", before, o.Expect, began)
		return p.account(a, used, sent), ctx.Err()
	case opEndpoint:
		before, began, used := p.acked("destination"), time.Now(), processorTime()
		sent := p.sent()
		p.version++
		s := slice(o.Service, p.version%2 == 1)
		if _, err := p.client.DiscoveryV1().EndpointSlices(s.Namespace).Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			return answer{}, err
		}
		a := p.watch(ctx, "destination", before, o.Expect, began)
		return p.account(a, used, sent), ctx.Err()
	}
	return answer{}, errors.New("no such order")
}

// write makes a policy, or a new version of it.
func (p *plane) write(ctx context.Context, o order) error {
	p.version++
	c := p.resources.Resource(v1alpha1.GroupVersion().WithResource("accesspolicies")).Namespace(o.Namespace)
	_, err := c.Update(ctx, policy(o.Namespace, o.Name, o.Labels, p.version), metav1.UpdateOptions{})
	if err != nil {
		_, err = c.Create(ctx, policy(o.Namespace, o.Name, o.Labels, p.version), metav1.CreateOptions{})
	}
	return err
}

// watch looks every other millisecond how many have acknowledged.
func (p *plane) watch(ctx context.Context, kind string, before float64, expect int, began time.Time) (a answer) {
	most := math.Ceil(0.99 * float64(expect))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for a.ToAll == 0 {
		select {
		case <-ctx.Done():
			return a
		case <-tick.C:
		}
		n, took := p.acked(kind)-before, time.Since(began)
		if n >= most && a.To99 == 0 {
			a.To99 = took
		}
		if n >= float64(expect) {
			a.ToAll = took
		}
	}
	return a
}

func (p *plane) account(a answer, used time.Duration, sent [2]float64) answer {
	now := p.sent()
	a.CPU, a.Bytes, a.Responses = processorTime()-used, now[0]-sent[0], now[1]-sent[1]
	return a
}

// acked counts acknowledgements so far.
func (p *plane) acked(kind string) float64 {
	return p.counter("outrider_injector_push_answers_total", kind)
}

// sent is bytes and responses so far.
func (p *plane) sent() [2]float64 {
	return [2]float64{p.counter("outrider_injector_push_bytes_total", ""), p.counter("outrider_injector_push_responses_total", "")}
}

func (p *plane) counter(name, label string) (sum float64) {
	families, err := p.registry.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || strings.Contains(fmt.Sprint(m.GetLabel()), label) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (p *plane) state() state {
	var m runtime.MemStats
	heap := heap()
	debug.FreeOSMemory() // or the garbage of the start would hide what sidecars take
	runtime.ReadMemStats(&m)
	return state{
		Sidecars: p.server.Sidecars(), Goroutines: runtime.NumGoroutine(),
		RSS: resident(), Heap: heap, Stacks: m.StackInuse, Model: p.modelBytes,
	}
}

// resident is what this process occupies, in bytes.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
