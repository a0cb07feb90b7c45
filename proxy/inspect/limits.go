package inspect

import (
	"runtime"
	"time"
)

const (
	// defaultSlotWait is how long a request may wait for an inspection slot.
	// It is a few times what a small body costs, so that a burst is smoothed,
	// and far below any client's patience, so that an overload is answered.
	defaultSlotWait = 250 * time.Millisecond
	// defaultBudget bounds what may pass before the second phase, the
	// expensive one, is entered. Coraza cannot be stopped inside of a phase.
	defaultBudget = time.Second
	// maxInspectBytes bounds what a policy may ask for: at this size one
	// hostile body costs the engine seconds.
	maxInspectBytes = 1 << 20
	// maxRulesBytes bounds the extra rules of one policy.
	maxRulesBytes = 256 << 10
	// maxDirectiveBytes bounds one directive. Coraza's parser stops reading,
	// without an error, at a line of 64 KiB.
	maxDirectiveBytes = 32 << 10
	// maxExclusions bounds the exclusions of one policy: each is a rule that
	// runs on every request.
	maxExclusions = 500
)

// defaultConcurrency is one slot per processor: inspection never blocks, so
// more would only make all of them slower.
func defaultConcurrency() int { return runtime.GOMAXPROCS(0) }
