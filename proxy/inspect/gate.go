package inspect

import (
	"fmt"
	"io/fs"
	"path"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
	"github.com/outrider-mesh/outrider/proxy/inspect/rules"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// gateOf builds what proves requests clean without the engine, from the rules that
// the engine has, in the order in which it has read them. Whatever the gate does not
// understand only makes it prove less, or nothing.
func gateOf(src source, detecting []string, comparing string) (*gate.Gate, error) {
	set := seclang.New()
	if err := set.ReadFile(coreruleset.FS, "@crs-setup.conf.example"); err != nil {
		return nil, err
	}
	if err := set.Read(src.setup); err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	for _, name := range detecting {
		if err := set.ReadFile(coreruleset.FS, name); err != nil {
			return nil, err
		}
	}
	if src.mesh {
		if err := set.Read(rules.Places()); err != nil {
			return nil, fmt.Errorf("read what rules look at: %w", err)
		}
	}
	for _, d := range src.extra {
		if err := set.Read(d.text); err != nil {
			return nil, fmt.Errorf("read line %d of the policy's rules: %w", d.line, err)
		}
	}
	if err := set.Read(rules.Last()); err != nil {
		return nil, fmt.Errorf("read what comes last: %w", err)
	}
	if err := set.ReadFile(coreruleset.FS, comparing); err != nil {
		return nil, err
	}
	return newGate(src, set)
}

func newGate(src source, set *seclang.Set) (*gate.Gate, error) {
	variables := make([]string, len(src.exclusions))
	for n := range src.exclusions {
		variables[n] = src.exclusions[n].variable(n)
	}
	g, err := gate.New(set, gate.Options{
		ReadFile:  func(name string) ([]byte, error) { return fs.ReadFile(coreruleset.FS, path.Join("@owasp_crs", name)) },
		Variables: variables,
		Bodies:    gateBodies(src.mesh),
	})
	if err != nil {
		return nil, fmt.Errorf("reason about the rules: %w", err)
	}
	if refused := g.Refused(); len(refused) > 0 {
		return nil, fmt.Errorf("rule %d: %s", refused[0].Rule, refused[0].Reason)
	}
	return g, nil
}

// rulesOf is what has the rules in an engine; nil for one without.
func rulesOf(e engine) *corazaEngine {
	if m, ok := e.(*meshEngine); ok {
		e = m.rules
	}
	rules, _ := e.(*corazaEngine)
	return rules
}

// clean tells that the engine would find nothing in a request.
func (e *corazaEngine) clean(req *flow.Request, in input) bool {
	if e.gate == nil || in.broken != nil || foreignCharset(req.Header) {
		return false
	}
	return e.gate.Clean(&gate.Request{
		Method:     req.Method,
		Target:     req.Target,
		Protocol:   req.Proto,
		Remote:     req.Conn.Remote.Addr().Unmap().String(),
		ServerName: hostname(req.Host),
		Header:     req.Header,
		Host:       req.Host,
		Variables:  e.variables(req, in),
		Body:       in.body,
		Partial:    in.partial,
		Processor:  in.processor,
		Stop:       in.meter.stopper(len(in.body)),
	})
}

// variables are those of the exclusions that apply.
func (e *corazaEngine) variables(req *flow.Request, in input) []string {
	var names []string
	for n := range e.exclusions {
		if e.exclusions[n].applies(req.Path, in.now) {
			names = append(names, e.exclusions[n].variable(n))
		}
	}
	return names
}
