package inspect

import (
	"log/slog"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// Unproved is a policy of which no request is proved clean: each goes through all rules,
// at a hundred times the cost.
type Unproved struct {
	// Policy is its namespace and name.
	Policy string
	// Reason names the rule that is not understood.
	Reason error
}

// Unproved lists the policies of which no request is proved clean, by name.
func (i *Inspector) Unproved() []Unproved { return i.unproved }

// Policies counts those that inspect requests, of some callers at least.
func (i *Inspector) Policies() int {
	n := 0
	for _, p := range i.policies {
		if p.on() {
			n++
		}
	}
	return n
}

// noteUnproved keeps, and tells the operator, when every request of a policy costs what
// the engine does.
func (i *Inspector) noteUnproved(p *policy, log *slog.Logger) {
	_ = p.each(func(own *policy) error {
		e := rulesOf(own.engine)
		noted := len(i.unproved) > 0 && i.unproved[len(i.unproved)-1].Policy == p.name
		if own.mode == config.Off || e == nil || e.gateErr == nil || noted {
			return nil
		}
		i.unproved = append(i.unproved, Unproved{p.name, e.gateErr})
		log.Warn("no request is proved clean beforehand, so each goes through all rules",
			slog.String("policy", p.name), slog.Any("error", e.gateErr))
		return nil
	})
}
