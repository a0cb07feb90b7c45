package inspect

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/inspect/rules"
)

// A source is all that an engine is built from. Policies with the same key
// share an engine.
type source struct {
	// setup is SecLang that precedes the Core Rule Set.
	setup string
	// extra are the policy's own rules; they run after the detecting rules of
	// the set and before the one that compares the score.
	extra []directive
	// exclusions are asked, request by request, whether they apply.
	exclusions []exclusion
	// limit is how much of a body the engine takes.
	limit int
	// mesh tells that our own detectors look as well, and threshold from which score
	// on a request is an attack then.
	mesh      bool
	threshold int
	// paranoia is how many of the levels count towards the score.
	paranoia int
}

func (s source) key() string {
	var b strings.Builder
	b.WriteString(s.setup)
	for _, d := range s.extra {
		fmt.Fprintf(&b, "\x00%d\x00%s", d.line, d.text)
	}
	for _, e := range s.exclusions {
		fmt.Fprintf(&b, "\x01%d\x01%s\x01%s\x01%d", e.rule, e.target, e.path, e.expires.UnixNano())
	}
	return b.String()
}

// compileSource writes the SecLang of a policy; spec has its defaults.
func compileSource(spec config.InspectionSpec, now time.Time, log *slog.Logger) (source, error) {
	s := source{limit: spec.Body.InspectBytes, paranoia: spec.Paranoia, threshold: spec.Threshold}
	if spec.Paranoia < 1 || spec.Paranoia > 4 {
		return source{}, fmt.Errorf("paranoia: %d is not between 1 and 4", spec.Paranoia)
	}
	if spec.Threshold < 1 {
		return source{}, fmt.Errorf("threshold: %d is less than 1", spec.Threshold)
	}
	var err error
	if s.exclusions, err = compileExclusions(spec.Exclusions, now, log); err != nil {
		return source{}, err
	}
	if s.extra, err = splitDirectives(spec.Rules); err != nil {
		return source{}, fmt.Errorf("rules: %w", err)
	}

	var b strings.Builder
	b.WriteString(rules.Base())
	// Coraza takes a body as long as its limit for one that is too long. The
	// memory limit is equal, so that nothing is ever written to disk.
	fmt.Fprintf(&b, "\nSecRequestBodyLimit %d\nSecRequestBodyInMemoryLimit %[1]d\n", s.limit+1)
	fmt.Fprintf(&b, `SecAction "id:7100510,phase:1,pass,nolog,t:none,`+
		`setvar:tx.blocking_paranoia_level=%d,setvar:tx.detection_paranoia_level=%[1]d,`+
		`setvar:tx.inbound_anomaly_score_threshold=%d"`+"\n", spec.Paranoia, spec.Threshold)
	if s.mesh = spec.Profile == config.ProfileMesh; s.mesh {
		b.WriteString(rules.Mesh())
		b.WriteByte('\n')
	}
	for i, e := range s.exclusions {
		if isDetector(e.rule) {
			continue
		}
		b.WriteString(e.directive(i))
	}
	s.setup = b.String()
	return s, nil
}

// firstExclusionID is the id of the rule that carries the first exclusion.
const firstExclusionID = 7110000

// An exclusion takes a rule out of a transaction. Whether it applies is decided
// here and told to the engine by a variable, so that paths mean what they mean
// in every policy and an exclusion ends on its day without a new engine.
type exclusion struct {
	rule    int
	target  string // "ARGS:q"; empty for the whole rule
	path    string // as written
	paths   []pattern
	expires time.Time // zero for never
}

func (e exclusion) applies(path string, now time.Time) bool {
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return false
	}
	return len(e.paths) == 0 || matchPath(e.paths, path)
}

// variable is the name in the TX collection that switches exclusion n on.
func (exclusion) variable(n int) string { return "outrider_exclude_" + strconv.Itoa(n) }

func (e exclusion) directive(n int) string {
	var actions strings.Builder
	switch {
	case e.target == "":
		fmt.Fprintf(&actions, "ctl:ruleRemoveById=%d", e.rule)
	case strings.Contains(e.target, ":"):
		collection, key, _ := strings.Cut(e.target, ":")
		fmt.Fprintf(&actions, "ctl:ruleRemoveTargetById=%d;%s:%s", e.rule, collection, keyPattern(key))
	default:
		// Rules name the arguments by any of these.
		for i, collection := range []string{"ARGS", "ARGS_GET", "ARGS_POST"} {
			if i > 0 {
				actions.WriteByte(',')
			}
			fmt.Fprintf(&actions, "ctl:ruleRemoveTargetById=%d;%s:%s", e.rule, collection, keyPattern(e.target))
		}
	}
	return fmt.Sprintf("SecRule TX:%s \"@streq 1\" \"id:%d,phase:1,pass,nolog,t:none,%s\"\n",
		e.variable(n), firstExclusionID+n, actions.String())
}

// keyPattern is a name as the engine wants it: as it stands, or, where a segment of it
// is a star, a regular expression that has any index of an array there; of elements of
// XML the first has none.
func keyPattern(name string) string {
	segments := strings.Split(name, ".")
	if !slices.Contains(segments, "*") {
		return name
	}
	var b strings.Builder
	for i, s := range segments {
		dot := `\.`
		if i == 0 {
			dot = ""
		}
		switch {
		case s != "*": // names are in lower case when they are compared
			b.WriteString(dot + regexp.QuoteMeta(strings.ToLower(s)))
		case inXML(name):
			b.WriteString("(?:" + dot + "[0-9]+)?")
		default:
			b.WriteString(dot + "[0-9]+")
		}
	}
	return "/^" + b.String() + "$/"
}

// compileExclusions checks the exclusions of a policy and leaves out those that
// have expired, which it logs.
func compileExclusions(docs []config.Exclusion, now time.Time, log *slog.Logger) ([]exclusion, error) {
	if len(docs) > maxExclusions {
		return nil, fmt.Errorf("exclusions: there are %d, more than %d", len(docs), maxExclusions)
	}
	var all []exclusion
	for i, doc := range docs {
		if reason := protected(doc.Rule); reason != "" {
			return nil, fmt.Errorf("exclusions[%d].rule: %d %s", i, doc.Rule, reason)
		}
		if !plainTarget(doc.Parameter) {
			return nil, fmt.Errorf("exclusions[%d].parameter: %q has characters that no rule target can have", i, doc.Parameter)
		}
		e := exclusion{rule: doc.Rule, target: doc.Parameter, path: doc.Path, expires: doc.Expires.Time}
		if doc.Path != "" {
			p, err := parsePath(doc.Path)
			if err != nil {
				return nil, fmt.Errorf("exclusions[%d].path: %q %w", i, doc.Path, err)
			}
			e.paths = []pattern{p}
		}
		if doc.Expired(now) {
			log.Warn("an exclusion has expired and is not applied",
				slog.Int("rule", doc.Rule), slog.String("parameter", doc.Parameter),
				slog.String("path", doc.Path), slog.Time("expired", doc.Expires.Time))
			continue
		}
		all = append(all, e)
	}
	return all, nil
}

// protected says why no policy may take a rule out; empty when it may.
func protected(id int) string {
	switch {
	case id < 1:
		return "is not a rule id"
	case id >= 901000 && id < 902000:
		return "prepares the rule set and finds nothing by itself"
	case id >= 949000 && id < 950000, id >= 959000 && id < 960000, id >= 980000 && id < 981000:
		return "compares the score: without it nothing is blocked; exclude the rules that contributed"
	case id >= 7100000 && id < 7200000:
		return "keeps requests from passing uninspected"
	case isDetector(id) && !knownDetector(id):
		return "is none of the mesh profile's detectors"
	}
	return ""
}

// plainTarget tells whether a parameter can stand in a rule as it is.
func plainTarget(s string) bool {
	if len(s) > 256 || strings.HasPrefix(s, "/") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"'`,;|\\%!&=", c) >= 0 {
			return false
		}
	}
	return true
}
