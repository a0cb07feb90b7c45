package inspect

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

var (
	errClosed    = errors.New("the inspector is closed")
	errBudget    = errors.New("the time for inspection is used up")
	errNoPolicy  = errors.New("no inspection policy has been loaded")
	errEngineOff = errors.New("a rule switched the engine off")
)

// Options configures an [Inspector]. The zero value is usable.
type Options struct {
	// Workload is the one we protect; policies select by it.
	Workload authz.Workload
	// Log receives what an operator should know of a set of policies once,
	// when it is loaded. Nil discards it.
	Log *slog.Logger
	// Concurrency is how many requests are proved clean at the same time, and how many
	// the rules look at; 0 means one less than there are processors, and at least one.
	Concurrency int
	// Bounds tells how long a request may take at the moment it comes, so that
	// a reload needs no new engine; nil means the defaults of package limits.
	Bounds func() Bounds
	// Now is the clock for budgets and what expires; nil means time.Now.
	Now func() time.Time
	// Draw returns a number from 0 to n-1, by which a policy is rolled out; nil
	// means at random.
	Draw func(n int) int
	// Witness is told what the rule set found in each request under the mesh
	// profile, before that is judged: for tools that try other judgements. Nil for
	// nobody; it may be called by several goroutines at once.
	Witness func(hits []evidence.Hit)
}

// Bounds are how long a request may wait and be inspected.
type Bounds struct {
	// Wait is for its turn; beyond it the outcome is overload.
	Wait time.Duration
	// Budget is for what comes before the last and longest phase, the waiting
	// excluded; beyond it the outcome is timeout. Coraza cannot be stopped
	// inside of a phase.
	Budget time.Duration
}

func defaultBounds() Bounds {
	l := limits.Default()
	return Bounds{Wait: l.InspectionWait, Budget: l.InspectionTimeout}
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency()
	}
	if o.Bounds == nil {
		o.Bounds = defaultBounds
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = rand.IntN
	}
	return o
}

// An Inspector judges requests by one set of policies. It is immutable and safe
// for concurrent use; a changed set needs a new one, see [Holder].
type Inspector struct {
	policies []*policy // the first whose paths match applies
	engines  []engine  // each once, however many policies share it
	unproved []Unproved
	lanes    lanes
	trials   lanes // of policies that are only tried
	watches  lanes // in front of lanes, for requests that are over
	bounds   func() Bounds
	now      func() time.Time
	draw     func(n int) int
	unzip    unzipper
	witness  func([]evidence.Hit)

	mu      sync.RWMutex   // orders begin and Close
	closed  bool           // no transaction begins any more
	running sync.WaitGroup // transactions
	release sync.Once
}

// New builds the engines that the policies need for the workload. Where no
// policy selects it, or those that do are off for every caller, nothing is
// built and every [Plan] is off.
//
// Of several policies the most specific one applies to a request: one whose
// paths name it before one for all paths, then the one with the most labels in
// its selector, then one of the workload's own namespace before one of all
// namespaces, then the first by name.
//
// An error names the policy and, for extra rules, the line and the reason.
func New(policies []config.InspectionPolicy, opts Options) (*Inspector, error) {
	opts = opts.withDefaults()
	i := newInspector(opts)
	built := map[string]engine{}
	for _, doc := range choose(policies, opts.Workload) {
		p, err := compile(doc, opts)
		if err == nil && p.on() {
			err = p.each(func(p *policy) (err error) {
				if p.mode != config.Off {
					p.engine, err = i.engineFor(p.source, built)
				}
				return err
			})
		}
		if err != nil {
			i.Close()
			return nil, fmt.Errorf("inspection policy %q: %w", policyName(doc), err)
		}
		i.policies = append(i.policies, p)
		i.noteUnproved(p, opts.Log)
	}
	if len(i.engines) > 0 {
		// Building takes several times the memory of what is built.
		debug.FreeOSMemory()
	}
	return i, nil
}

func newInspector(opts Options) *Inspector {
	return &Inspector{
		lanes:   newLanes(opts.Concurrency, opts.Concurrency),
		trials:  newLanes(1, 1),
		watches: newLanes(opts.Concurrency, opts.Concurrency),
		bounds:  opts.Bounds,
		now:     opts.Now,
		draw:    opts.Draw,
		witness: opts.Witness,
	}
}

// engineFor returns the engine of a source; policies that need the same one
// share it.
func (i *Inspector) engineFor(src source, built map[string]engine) (engine, error) {
	key := src.key()
	if e, ok := built[key]; ok {
		return e, nil
	}
	rules, err := newCorazaEngine(src)
	if err != nil {
		return nil, err
	}
	e := engine(rules)
	if src.mesh {
		e = &meshEngine{rules: rules, threshold: src.threshold, exclusions: src.exclusions, witness: i.witness}
	}
	built[key] = e
	i.engines = append(i.engines, e)
	return e, nil
}

// begin registers a transaction unless the inspector is closed.
func (i *Inspector) begin() bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.closed {
		return false
	}
	i.running.Add(1)
	return true
}

// Close lets no further transaction begin, waits for those that run and frees
// the engine. It may be called more than once; a nil Inspector is closed.
func (i *Inspector) Close() {
	if i == nil {
		return
	}
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.running.Wait()
	i.release.Do(func() {
		for _, e := range i.engines {
			e.close()
		}
	})
}
