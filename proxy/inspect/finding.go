package inspect

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	corazatypes "github.com/corazawaf/coraza/v3/types"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// readers find things in the text of rules.
type readers struct {
	// scores is in every rule that adds to the score.
	scores *regexp.Regexp
	// messages finds a rule's message before its variables, the macros, are
	// filled in with parts of the request.
	messages, macros *regexp.Regexp
	// decoders finds transformations.
	decoders *regexp.Regexp
}

var compileReaders = sync.OnceValue(func() *readers {
	return &readers{
		scores:   regexp.MustCompile(`(?i)setvar:\s*'?tx\.inbound_anomaly_score(?:_pl[1-4])?=\+`),
		messages: regexp.MustCompile(`\bmsg:'((?:[^'\\]|\\.)*)'`),
		macros:   regexp.MustCompile(`%\{[^}]*\}`),
		decoders: regexp.MustCompile(`[",\s]t:(\w+)`),
	}
})

// find reads the verdict off a transaction. The interruption is nil when no
// rule ended it.
func (e *corazaEngine) find(tx corazatypes.Transaction, state plugintypes.TransactionState, stop *corazatypes.Interruption) finding {
	f := finding{attack: stop != nil, score: e.score(state)}
	f.refused = stop != nil && !comparesScore(stop.RuleID)
	if stop == nil && f.score == 0 {
		return f
	}
	read, gravest := compileReaders(), corazatypes.RuleSeverityUnset
	for _, m := range tx.MatchedRules() {
		r := m.Rule()
		decided := stop != nil && r.ID() == stop.RuleID && !comparesScore(r.ID())
		if !decided && !read.scores.MatchString(r.Raw()) {
			continue
		}
		f.addMatches(m, read)
		if slices.Contains(f.rules, r.ID()) {
			continue
		}
		if !decided {
			f.hits = append(f.hits, hitOf(m))
		}
		// A small oddity of the head, which is seen first, does not hide what
		// the request was refused for.
		if len(f.rules) == 0 || graver(r.Severity(), gravest) {
			gravest = r.Severity()
			f.message, f.location = read.message(r), location(m)
		}
		f.rules = append(f.rules, r.ID())
	}
	return f
}

// addMatches adds the places in which a rule matched.
func (f *finding) addMatches(m corazatypes.MatchedRule, read *readers) {
	decoded := read.decoded(m.Rule().Raw())
	for _, d := range m.MatchedDatas() {
		place := flow.Match{Rule: m.Rule().ID(), Location: place(d), Decoded: decoded}
		if len(f.matches) < maxMatches && place.Location != "" && !slices.Contains(f.matches, place) {
			f.matches = append(f.matches, place)
		}
	}
}

// decoded are the transformations of a rule. Where it is a chain those of its
// first rule count, which is what looks for the attack.
func (read *readers) decoded(raw string) string {
	raw, _, _ = strings.Cut(raw, "\n")
	var names []string
	for _, m := range read.decoders.FindAllStringSubmatch(raw, -1) {
		if m[1] == "none" {
			names = names[:0]
			continue
		}
		names = append(names, m[1])
	}
	return strings.Join(names, ",")
}

// graver compares severities, of which 0 is the gravest; a rule without one ends
// the transaction by itself and is graver than any with.
func graver(a, b corazatypes.RuleSeverity) bool {
	return a != b && (a == corazatypes.RuleSeverityUnset || b != corazatypes.RuleSeverityUnset && a < b)
}

// comparesScore tells whether a rule only compares the score.
func comparesScore(id int) bool { return id >= 949000 && id < 950000 }

// score sums what the levels in force have counted. The rule set's own sum is
// made at the end and missing where a rule ended the transaction before.
func (e *corazaEngine) score(state plugintypes.TransactionState) int {
	sum := 0
	for level := 1; level <= e.paranoia; level++ {
		if v := state.Variables().TX().Get("inbound_anomaly_score_pl" + strconv.Itoa(level)); len(v) > 0 {
			n, _ := strconv.Atoi(v[0]) // not a number: a rule's doing, counts as none
			sum += n
		}
	}
	return sum
}

// message is what a rule says, without the parts of the request that it would
// quote.
func (read *readers) message(r corazatypes.RuleMetadata) string {
	m := read.messages.FindStringSubmatch(r.Raw())
	if m == nil {
		return ""
	}
	return strings.TrimSpace(read.macros.ReplaceAllString(m[1], "…"))
}

// location is where a rule matched first. The name of an argument is the
// caller's choice and may itself be the payload: one that does not look like a
// name is left out.
func location(m corazatypes.MatchedRule) string {
	for _, d := range m.MatchedDatas() {
		if p := place(d); p != "" {
			return p
		}
	}
	return ""
}

// place names a variable and what is in it.
func place(d corazatypes.MatchData) string {
	name := d.Variable().Name()
	if name == "" || name == "UNKNOWN" {
		return ""
	}
	if key := d.Key(); plainName(key) {
		return name + ":" + key
	}
	return name
}

func plainName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-[]", c) >= 0 ||
			c == '@' && i > 0 && s[i-1] == '.' // an attribute of XML
		if !ok {
			return false
		}
	}
	return true
}
