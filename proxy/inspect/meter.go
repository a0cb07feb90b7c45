package inspect

import (
	"runtime"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

const (
	// minFine is for how many bytes of target, fields and body there is a look at the
	// clock behind each rule, of which one may take milliseconds then. Below, behind
	// every fourth one suffices.
	minFine = 1 << 10
	// minMetered is how many bytes of header fields there have to be for the time of a
	// request to be counted that has no arguments; those take a millisecond at most.
	minMetered = 2 << 10
	// bytesPerMillisecond is how much of a body the engine takes apart in a millisecond,
	// at most, before its first rule can be stopped: measured 30 to 90 KB for JSON.
	bytesPerMillisecond = 100 << 10
	// share is after which time the goroutine lets others have the processor: the
	// scheduler itself does so after 10 ms, which a request that only passes would wait.
	share = time.Millisecond
)

// A meter counts what one inspection takes of a processor: not the clock's time, for
// a busy machine does not make a request an expensive one. It belongs to one goroutine,
// which stays on its thread while the meter runs, as it is the thread's clock that is
// looked at. The nil meter counts nothing and never ends.
type meter struct {
	limit time.Duration
	spent time.Duration // until it was stopped last
	// clock is the thread's when it was looked at last, and longest what has passed
	// between two looks at most: as much again may pass before the next one.
	clock, longest time.Duration
	// held is since when nobody else had the processor.
	held time.Duration
	// read is the clock; nil means the thread's.
	read func() time.Duration
}

func newMeter(limit time.Duration) *meter {
	if limit <= 0 {
		return nil
	}
	return &meter{limit: limit}
}

// start lets it run, until the function that is returned is called.
func (m *meter) start() (stop func()) {
	if m == nil {
		return func() {}
	}
	runtime.LockOSThread()
	m.clock = m.now()
	m.held, m.longest = m.clock, 0
	return func() {
		m.look()
		runtime.UnlockOSThread()
	}
}

func (m *meter) now() time.Duration {
	if m.read != nil {
		return m.read()
	}
	return threadTime()
}

// look adds what has passed since it was looked at last.
func (m *meter) look() {
	now := m.now()
	passed := now - m.clock
	m.clock = now
	m.spent += passed
	m.longest = max(m.longest, passed)
}

// up tells whether the time is used up, or will be when the next step takes as long as
// the longest has.
func (m *meter) up() bool {
	if m == nil {
		return false
	}
	m.look()
	if m.clock-m.held > share {
		runtime.Gosched()
		m.held = m.clock
	}
	return m.spent+m.longest > m.limit
}

// affords tells whether there is time left for the engine to take a body apart, which
// cannot be stopped.
func (m *meter) affords(bytes int) bool {
	if m == nil {
		return true
	}
	return m.spent+time.Duration(bytes)*time.Millisecond/bytesPerMillisecond <= m.limit
}

// stopper is what long walks over a body ask now and then; nil where they need not.
func (m *meter) stopper(bytes int) func() bool {
	if m == nil || bytes < pollBytes {
		return nil
	}
	return m.up
}

// pollBytes is how much of a body is walked over between two looks at the clock: what
// takes detectors and gate a millisecond or two.
const pollBytes = 16 << 10

// weight is how many bytes of a request are looked at by rules; arguments tells that
// some of them may be arguments, of which all rules look at each.
func weight(req *flow.Request, in *input) (bytes int, arguments bool) {
	bytes = len(in.body) + len(in.packed) + len(req.Target)
	req.Header.Each(func(name, value string) bool {
		bytes += len(name) + len(value)
		return true
	})
	return bytes, len(in.body)+len(in.packed)+len(req.Query) > 0
}

// measure gives the input a meter, if what it may cost is worth the looks at it.
func (in *input) measure(req *flow.Request) {
	bytes, arguments := weight(req, in)
	if !arguments && bytes < minMetered {
		return
	}
	in.meter, in.fine = newMeter(in.cpu), bytes >= minFine
}
