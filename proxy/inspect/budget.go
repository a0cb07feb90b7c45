package inspect

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// Coraza cannot be stopped inside of a phase, and a phase can take seconds. So there
// are rules between the rules of the set, which ask whether the time is used up and
// end the transaction if it is. What is counted is the time of the processor, not the
// clock's: a busy machine does not make a request an expensive one.

const (
	// firstBudgetID is the id of the first of these rules.
	firstBudgetID = 7120000
	maxBudgetID   = 7129999
	// minBudgeted is how long a body is, in bytes, for which the time is looked at:
	// what is shorter takes some ten milliseconds at most.
	minBudgeted = 1 << 10
	// rulesPerCheckpoint is how many rules there are between two. With a thousand
	// arguments three take some ten milliseconds. Where no time runs, as without a
	// body, all checkpoints together cost less than a tenth of a small request;
	// where it does, each a microsecond, a system call for the most part.
	rulesPerCheckpoint = 3
	// deadlineVariable holds when the time is used up, on the thread's clock.
	deadlineVariable = "outrider_deadline"
)

func isBudgetRule(id int) bool { return id >= firstBudgetID && id <= maxBudgetID }

// checkpoints puts rules into the text of a rule set.
type checkpoints struct{ count int }

// insert adds a rule behind each so many, but not inside of a chain.
func (c *checkpoints) insert(text []byte) []byte {
	var (
		out       strings.Builder
		directive strings.Builder
		rules     int
	)
	for line := range strings.Lines(string(text)) {
		out.WriteString(line)
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		body, more := strings.CutSuffix(line, `\`)
		directive.WriteString(body)
		if more {
			continue
		}
		whole := directive.String()
		directive.Reset()
		if !strings.HasPrefix(whole, "SecRule") || compileChecks().chained.MatchString(whole) {
			continue
		}
		if rules++; rules%rulesPerCheckpoint == 0 {
			out.WriteString(c.rule())
		}
	}
	return []byte(out.String())
}

func (c *checkpoints) rule() string {
	c.count++
	return fmt.Sprintf("\nSecRule REQUEST_METHOD \"@outriderTimeIsUp\" \"id:%d,phase:2,deny,nolog,t:none\"\n", firstBudgetID+c.count-1)
}

// timeIsUp is the operator @outriderTimeIsUp. It is not asked about a value.
type timeIsUp struct{}

// Evaluate implements [plugintypes.Operator].
func (timeIsUp) Evaluate(tx plugintypes.TransactionState, _ string) bool {
	v := tx.Variables().TX().Get(deadlineVariable)
	if len(v) == 0 {
		return false
	}
	deadline, err := strconv.ParseInt(v[0], 10, 64)
	return err != nil || int64(threadTime()) > deadline
}

// startBudget lets the time run. The goroutine stays on its thread, whose clock is
// looked at, until the function that is returned is called.
func startBudget(v plugintypes.TransactionVariables, cpu time.Duration) (stop func()) {
	if cpu <= 0 {
		return func() {}
	}
	runtime.LockOSThread()
	v.TX().Set(deadlineVariable, []string{strconv.FormatInt(int64(threadTime()+cpu), 10)})
	return runtime.UnlockOSThread
}
