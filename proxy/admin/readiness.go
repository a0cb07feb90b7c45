package admin

import (
	"fmt"
	"sync"
)

// A Readiness is the list of conditions that must hold before the sidecar says
// that it is ready. Its methods may be called concurrently.
type Readiness struct {
	changed func(ready bool)

	mu         sync.Mutex
	conditions []condition // in the order in which they were named
	ready      bool
}

type condition struct {
	name string
	err  error // nil when the condition holds
}

// errPending is the state of a condition that nothing has been said about.
type errPending struct{}

func (errPending) Error() string { return "not yet" }

// NewReadiness returns a readiness of the named conditions, none of which holds
// yet. Changed is called whenever the whole becomes ready or stops being so,
// one call at a time; it must not call back. It may be nil.
func NewReadiness(changed func(ready bool), conditions ...string) *Readiness {
	r := &Readiness{changed: changed}
	if r.changed == nil {
		r.changed = func(bool) {}
	}
	for _, name := range conditions {
		r.conditions = append(r.conditions, condition{name, errPending{}})
	}
	r.ready = len(conditions) == 0
	return r
}

// Set says that a condition holds (nil) or why it does not. A name that is new
// becomes the last condition.
func (r *Readiness) Set(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.find(name).err = err
	ready := true
	for _, c := range r.conditions {
		ready = ready && c.err == nil
	}
	if ready != r.ready {
		r.ready = ready
		r.changed(ready)
	}
}

func (r *Readiness) find(name string) *condition {
	for i := range r.conditions {
		if r.conditions[i].name == name {
			return &r.conditions[i]
		}
	}
	r.conditions = append(r.conditions, condition{name: name})
	return &r.conditions[len(r.conditions)-1]
}

// Ready tells whether every condition holds.
func (r *Readiness) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Missing returns the names of the conditions that do not hold, in order.
func (r *Readiness) Missing() []string {
	return r.missing(func(c condition) string { return c.name })
}

// explain is Missing with the reasons, which may hold addresses and paths and
// are for the loopback port only.
func (r *Readiness) explain() []string {
	return r.missing(func(c condition) string { return fmt.Sprintf("%s: %v", c.name, c.err) })
}

func (r *Readiness) missing(render func(condition) string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, c := range r.conditions {
		if c.err != nil {
			lines = append(lines, render(c))
		}
	}
	return lines
}
