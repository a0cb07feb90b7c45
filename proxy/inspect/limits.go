package inspect

import "runtime"

const (
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
	// maxArguments is as SecArgumentsLimit in rules/base.conf: every rule looks
	// at every argument.
	maxArguments = 1000
	// maxExpansion is how many bytes may come of one by decompression, and
	// minExpansion what may come of any number. Texts of one repeated record reach
	// a hundred; what only repeats a byte a thousand and more.
	maxExpansion = 200
	minExpansion = 64 << 10
	// maxZstdWindow is the least that a decoder must take (RFC 8878 §3.1.1.1.2) and
	// bounds its memory.
	maxZstdWindow = 8 << 20
	// maxMatches bounds the places that a verdict names. The request of the
	// core rule set's own tests that matches most has 32 rules at paranoia 4.
	maxMatches = 64
)

// defaultConcurrency leaves a processor to proxying where there are two: what looks for
// network events and finds none busy elsewhere has to wait for the scheduler's 10 ms.
func defaultConcurrency() int { return max(1, runtime.GOMAXPROCS(0)-1) }
