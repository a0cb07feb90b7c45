package forward

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// A Retry says which requests are sent again, to another endpoint if there is one,
// when the next hop failed after it may have begun. Nil retries nothing but what met
// a stale connection.
type Retry struct {
	// Attempts is how often a request is sent again at most; at least 1.
	Attempts int
	// Statuses are those of answers that are not passed on, but tried again.
	Statuses []int
	// Methods may be sent again though they are not idempotent.
	Methods []string
	// BodyBytes is the largest body that is kept to be sent again.
	BodyBytes int64
	// Budget is shared by all requests of the destination.
	Budget *Budget
}

// A Budget keeps retries to a share of all requests, so that they do not finish off
// what is overloaded.
type Budget struct {
	percent int64
	balance atomic.Int64 // in hundredths of a retry
}

// burst is how many retries in a row a budget that was spared allows.
const burst = 10

// NewBudget allows so many retries for every hundred requests.
func NewBudget(percent int) *Budget {
	b := &Budget{percent: int64(percent)}
	b.balance.Store(100 * burst)
	return b
}

// deposit is for every request.
func (b *Budget) deposit() {
	for {
		was := b.balance.Load()
		if was >= 100*burst || b.balance.CompareAndSwap(was, min(was+b.percent, 100*burst)) {
			return
		}
	}
}

// withdraw is for every retry; false: there is nothing left.
func (b *Budget) withdraw() bool {
	for {
		was := b.balance.Load()
		if was < 100 {
			return false
		}
		if b.balance.CompareAndSwap(was, was-100) {
			return true
		}
	}
}

// retries are those of one request; nil if it is not to be sent again.
type retries struct {
	f    *Forwarder
	left int
}

// retriesOf begins a request.
func (f *Forwarder) retriesOf(q *flow.Request) *retries {
	r := f.Retry
	if r == nil {
		return nil
	}
	r.Budget.deposit()
	if !message.Idempotent(q.Method) && !slices.Contains(r.Methods, q.Method) {
		return nil
	}
	return &retries{f, r.Attempts}
}

// declines tells whether an answer of that status is tried again. It has then been
// taken from the budget.
func (r *retries) declines(status int) bool {
	return r.left > 0 && slices.Contains(r.f.Retry.Statuses, status) && r.withdraw()
}

// again tells whether a request that failed, and could be sent again, is.
func (r *retries) again(failure *message.Failure, replayable bool) bool {
	if r == nil || r.left == 0 || !replayable {
		return false
	}
	var broken *message.ProtocolError
	switch {
	case errors.Is(failure.Err, message.ErrDeclined): // it is paid for
	case errors.As(failure.Err, &broken): // it would be no better
		return false
	case !r.withdraw():
		return false
	}
	r.left--
	return true
}

func (r *retries) withdraw() bool {
	if r.f.Retry.Budget.withdraw() {
		r.f.Metrics.Retry(telemetry.Retried)
		return true
	}
	r.f.Metrics.Retry(telemetry.RetryOverBudget)
	return false
}
