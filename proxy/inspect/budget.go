package inspect

import (
	"fmt"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	corazatypes "github.com/corazawaf/coraza/v3/types"
)

// Coraza cannot be stopped inside of a phase, and a phase can take seconds. So there
// are rules between the rules of the set, which ask whether the time is used up and
// end the transaction if it is.

const (
	// firstBudgetID is the id of the first of these rules. From firstFineID on are those
	// that only dear requests have.
	firstBudgetID = 7120000
	firstFineID   = 7125000
	maxBudgetID   = 7129999
	// rulesPerCheckpoint is how many rules there are between two that are not fine.
	rulesPerCheckpoint = 4
)

func isBudgetRule(id int) bool { return id >= firstBudgetID && id <= maxBudgetID }

// checkpoints puts rules into the text of a rule set.
type checkpoints struct{ rules, coarse, fine int }

// insert adds a rule behind each, but not inside of a chain.
func (c *checkpoints) insert(text []byte) []byte {
	var out, directive strings.Builder
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
		if strings.HasPrefix(whole, "SecRule") && !compileChecks().chained.MatchString(whole) {
			out.WriteString(c.rule())
		}
	}
	return []byte(out.String())
}

func (c *checkpoints) rule() string {
	c.rules++
	id := firstFineID + c.fine
	if c.rules%rulesPerCheckpoint == 0 {
		id = firstBudgetID + c.coarse
		c.coarse++
	} else {
		c.fine++
	}
	return fmt.Sprintf("\nSecRule REQUEST_METHOD \"@outriderTimeIsUp\" \"id:%d,phase:2,deny,nolog,t:none\"\n", id)
}

// meters are those of the transactions that run on one engine.
type meters struct {
	of sync.Map // *meter by plugintypes.TransactionState
}

// timeIsUp is the operator @outriderTimeIsUp. It is not asked about a value.
type timeIsUp struct{ meters *meters }

// Evaluate implements [plugintypes.Operator].
func (o timeIsUp) Evaluate(tx plugintypes.TransactionState, _ string) bool {
	if o.meters == nil {
		return false
	}
	m, _ := o.meters.of.Load(tx)
	running, _ := m.(*meter)
	return running.up()
}

// newTimeIsUp makes one for the engine whose rules are read from a [ruleFS].
func newTimeIsUp(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
	if root, ok := o.Root.(*ruleFS); ok {
		return timeIsUp{&root.meters}, nil
	}
	return timeIsUp{}, nil
}

// follow has the rules between the rules ask a transaction's meter, until the function
// that is returned is called. Where there is no meter they are left out: all together
// they cost an eighth of a small request.
func (m *meters) follow(tx corazatypes.Transaction, state plugintypes.TransactionState, in input) (stop func(), err error) {
	remover, ok := tx.(interface{ RemoveRuleByIDRange(start, end int) })
	if !ok {
		return nil, fmt.Errorf("the transaction cannot leave out rules")
	}
	switch {
	case in.meter == nil:
		remover.RemoveRuleByIDRange(firstBudgetID, maxBudgetID)
		return func() {}, nil
	case !in.fine:
		remover.RemoveRuleByIDRange(firstFineID, maxBudgetID)
	}
	m.of.Store(state, in.meter)
	return func() { m.of.Delete(state) }, nil
}
