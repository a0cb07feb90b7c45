package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	corazatypes "github.com/corazawaf/coraza/v3/types"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
	"github.com/outrider-mesh/outrider/proxy/inspect/rules"
)

// An engine judges requests. It is safe for concurrent use; close is called
// when no evaluation runs any more.
type engine interface {
	// prove does what costs little. Where it cannot tell, evaluate is asked, with what
	// prove has left in the input.
	prove(req *flow.Request, in *input) (f finding, done bool)
	evaluate(req *flow.Request, in input) (finding, error)
	close()
}

// corazaEngine drives Coraza's transactions itself. Coraza's own middleware for
// net/http is not used: it answers 200 to the actions drop and redirect and to
// errors while reading a body (reproduced with v3.8.1).
type corazaEngine struct {
	waf        coraza.WAF
	exclusions []exclusion
	paranoia   int
	// mesh tells that rules look at values of XML and at files as arguments.
	mesh bool
	// gate proves requests clean beforehand; nil where it cannot.
	gate    *gate.Gate
	gateErr error
	// meters are of the requests that the rules are looking at.
	meters *meters
}

// comparingFile begins the file of rules that compare the score.
const comparingFile = "@owasp_crs/REQUEST-949-"

// newCorazaEngine loads the Core Rule Set. An error in a policy's own rules
// names its line.
func newCorazaEngine(src source) (e *corazaEngine, err error) {
	root := &ruleFS{FS: coreruleset.FS, extra: src.extra}
	defer func() {
		// Some directives dereference what another did not define.
		if r := recover(); r != nil {
			e, err = nil, root.explain(fmt.Errorf("panic in the parser: %v", r))
		}
	}()
	registerPlugins()
	files, err := fs.Glob(coreruleset.FS, "@owasp_crs/REQUEST-*.conf")
	if err != nil {
		return nil, fmt.Errorf("list the core rule set: %w", err)
	}
	cfg := experimental.WAFConfigWithRuleObserver(coraza.NewWAFConfig().WithRootFS(root), root.observe).
		WithDirectivesFromFile("@crs-setup.conf.example").
		WithDirectives(src.setup)
	// A policy's rules come when all that detects is there, so that they can
	// change it, and before the comparison, so that they can add to the score.
	detecting, comparing, err := splitRuleSet(files)
	if err != nil {
		return nil, err
	}
	for _, file := range detecting {
		cfg = cfg.WithDirectivesFromFile(file)
	}
	if src.mesh {
		cfg = cfg.WithDirectives(rules.Places())
	}
	for n := range src.extra {
		cfg = cfg.WithDirectivesFromFile(root.name(n))
	}
	cfg = cfg.WithDirectives(rules.Last()).WithDirectivesFromFile(comparing)
	waf, err := coraza.NewWAF(cfg)
	if err == nil {
		err = root.refused
	}
	if err != nil {
		return nil, root.explain(err)
	}
	e = &corazaEngine{
		waf: waf, exclusions: src.exclusions, paranoia: src.paranoia, mesh: src.mesh, meters: &root.meters,
	}
	e.gate, e.gateErr = gateOf(src, detecting, comparing)
	return e, nil
}

// splitRuleSet sets the file that compares the score apart. The one numbered
// 999, behind it, only changes the targets of detecting rules.
func splitRuleSet(files []string) (detecting []string, comparing string, err error) {
	for _, file := range files {
		if strings.HasPrefix(file, comparingFile) {
			comparing = file
			continue
		}
		detecting = append(detecting, file)
	}
	if comparing == "" {
		return nil, "", errors.New("the core rule set has no rule that compares the score")
	}
	return detecting, comparing, nil
}

// close releases the compiled patterns that engines share.
func (e *corazaEngine) close() {
	if c, ok := e.waf.(experimental.WAFCloser); ok {
		_ = c.Close() // it only empties a cache and cannot fail
	}
}

// prove asks the gate.
func (e *corazaEngine) prove(req *flow.Request, in *input) (finding, bool) {
	return finding{}, e.clean(req, *in)
}

// evaluate runs the two request phases of one transaction.
func (e *corazaEngine) evaluate(req *flow.Request, in input) (f finding, err error) {
	if !in.meter.affords(len(in.body)) {
		return finding{}, errBudget
	}
	tx := e.waf.NewTransaction()
	defer func() {
		if cerr := tx.Close(); cerr != nil && err == nil {
			f, err = finding{}, fmt.Errorf("close the transaction: %w", cerr)
		}
	}()
	state, ok := tx.(plugintypes.TransactionState)
	if !ok {
		return finding{}, errors.New("the transaction does not show its variables")
	}
	unfollow, err := e.meters.follow(tx, state, in)
	if err != nil {
		return finding{}, err
	}
	defer unfollow()
	e.feedHead(tx, state, req, in)
	contentType, _ := req.Header.Get("content-type")
	in.boundary, in.files = boundaryOf(contentType), e.mesh
	stop, err := e.phases(tx, state, in)
	if err != nil {
		return finding{}, err
	}
	tx.ProcessLogging()
	if stop == nil && (tx.IsRuleEngineOff() || !tx.IsRequestBodyAccessible()) {
		return finding{}, errEngineOff
	}
	if stop != nil && isBudgetRule(stop.RuleID) {
		return finding{}, errBudget
	}
	f = e.find(tx, state, stop)
	f.firstArguments = state.Variables().ArgumentsLimitReached().Get() == "1"
	f.arguments = stop != nil && countsArguments(stop.RuleID)
	return f, nil
}

// countsArguments tells the rules that end an inspection for too many arguments.
func countsArguments(id int) bool { return id == 7100005 || id == manyArguments }

// feedHead gives the engine all that is known before the body. What it keeps
// are strings, which nobody changes.
func (e *corazaEngine) feedHead(tx corazatypes.Transaction, state plugintypes.TransactionState, req *flow.Request, in input) {
	vars := state.Variables()
	for n := range e.exclusions {
		if e.exclusions[n].applies(req.Path, in.now) {
			vars.TX().Set(e.exclusions[n].variable(n), []string{"1"})
		}
	}
	if foreignCharset(req.Header) {
		vars.TX().Set("outrider_charset", []string{"foreign"}) // rule 7100010 refuses it
	}
	if in.firstArguments {
		vars.TX().Set("outrider_first_arguments", []string{"1"})
	}
	from, to := req.Conn.Remote, req.Conn.Destination
	tx.ProcessConnection(from.Addr().Unmap().String(), int(from.Port()), to.Addr().Unmap().String(), int(to.Port()))
	// Coraza drops what follows a '#', an application may not.
	tx.ProcessURI(strings.ReplaceAll(req.Target, "#", "%23"), req.Method, req.Proto)

	host := false
	req.Header.Each(func(name, value string) bool {
		host = host || strings.EqualFold(name, "host")
		// A name of its own for each field, see distinct.go.
		tx.AddRequestHeader(strings.Clone(name), value)
		return true
	})
	if !host && req.Host != "" {
		tx.AddRequestHeader("Host", req.Host)
	}
	tx.SetServerName(hostname(req.Host))
	makeDistinct(vars.ArgsGet())
	makeDistinct(vars.RequestCookies())
}

func hostname(authority string) string {
	if !strings.Contains(authority, ":") {
		return authority
	}
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// phases runs the rules; the interruption is nil when no rule ended it.
func (e *corazaEngine) phases(tx corazatypes.Transaction, state plugintypes.TransactionState, in input) (*corazatypes.Interruption, error) {
	if stop := tx.ProcessRequestHeaders(); stop != nil {
		return stop, nil
	}
	if err := in.checkpoint(); err != nil {
		return nil, err
	}
	if in.meter.up() {
		return nil, errBudget
	}
	if err := in.prepare(state.Variables()); err != nil {
		return nil, err
	}
	if len(in.body) > 0 {
		if in.partial {
			if err := setSingle(state.Variables().InboundDataError(), "1"); err != nil {
				return nil, err
			}
		}
		stop, n, err := tx.WriteRequestBody(in.body)
		if err != nil {
			return nil, fmt.Errorf("hand over the body: %w", err)
		}
		if stop != nil {
			return stop, nil
		}
		if n != len(in.body) {
			return nil, fmt.Errorf("hand over the body: %d of %d bytes were taken", n, len(in.body))
		}
	}
	// Most rules run here, those for the query too: also without a body.
	stop, err := tx.ProcessRequestBody()
	if err != nil {
		return nil, fmt.Errorf("inspect the body: %w", err)
	}
	return stop, nil
}

// prepare tells the engine what its rules cannot find in the head: what reads the
// body, and that nothing can.
func (in input) prepare(v plugintypes.TransactionVariables) error {
	if in.broken != nil {
		return setSingle(v.RequestBodyError(), "1") // rule 7100008 refuses it
	}
	if in.processor != "" {
		return setSingle(v.RequestBodyProcessor(), in.processor)
	}
	if in.boundary != "" {
		return in.readParts(v)
	}
	return nil
}

// setSingle sets a variable that the engine shows as read-only.
func setSingle(v collection.Single, value string) error {
	s, ok := v.(interface{ Set(value string) })
	if !ok {
		return fmt.Errorf("variable %s cannot be set", v.Name())
	}
	s.Set(value)
	return nil
}

// ruleFS is the core rule set with each directive of a policy as a file of its
// own: the parser does not say which line it fails at, the file system knows
// what it read last.
type ruleFS struct {
	fs.FS
	extra   []directive
	last    *directive
	refused error

	checkpoints checkpoints
	meters      meters
}

const extraDir = "policy"

func (r *ruleFS) name(n int) string { return path.Join(extraDir, strconv.Itoa(n)) }

// ReadFile implements [fs.ReadFileFS].
func (r *ruleFS) ReadFile(name string) ([]byte, error) {
	if number, ok := strings.CutPrefix(name, extraDir+"/"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(r.extra) {
			return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
		}
		r.last = &r.extra[n]
		return []byte(r.last.text), nil
	}
	r.last = nil
	data, err := fs.ReadFile(r.FS, name)
	if err != nil {
		return nil, fmt.Errorf("read %q of the core rule set: %w", name, err)
	}
	if strings.HasSuffix(name, ".conf") {
		data = r.checkpoints.insert(data)
	}
	return data, nil
}

// observe refuses a policy's rules that would never run, and those that no
// verdict could name.
func (r *ruleFS) observe(rule corazatypes.RuleMetadata) {
	if r.last == nil || r.refused != nil {
		return
	}
	if rule.ID() == 0 && rule.SecMark() == "" {
		r.refused = fmt.Errorf("line %d: the rule has no id", r.last.line)
	}
	if p := rule.Phase(); p == corazatypes.PhaseResponseHeaders || p == corazatypes.PhaseResponseBody {
		r.refused = fmt.Errorf("line %d: phase %d is about answers, which are not inspected", r.last.line, p)
	}
}

// explain says which of a policy's directives an error is about.
func (r *ruleFS) explain(err error) error {
	if r.refused != nil {
		return fmt.Errorf("rules: %w", r.refused)
	}
	if r.last != nil {
		return fmt.Errorf("rules: line %d: %w", r.last.line, err)
	}
	return fmt.Errorf("build the engine: %w", err)
}
