package inspect

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	corazatypes "github.com/corazawaf/coraza/v3/types"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// meshEngine is the mesh profile: it asks our own detectors as well as the rule set, and
// judges by both (package evidence).
type meshEngine struct {
	rules      engine
	threshold  int
	exclusions []exclusion
	// witness is told what the rule set found; nil for nobody.
	witness func([]evidence.Hit)
}

func (e *meshEngine) close() { e.rules.close() }

// prove asks the detectors, and the gate.
func (e *meshEngine) prove(req *flow.Request, in *input) (finding, bool) {
	in.clues = e.look(req, *in)
	if _, clean := e.rules.prove(req, in); !clean {
		return finding{}, false
	}
	return e.conclude(finding{}, in.clues), true
}

// evaluate asks the rules about what was not proved clean.
func (e *meshEngine) evaluate(req *flow.Request, in input) (finding, error) {
	f, err := e.rules.evaluate(req, in)
	if err != nil {
		return finding{}, err
	}
	return e.conclude(f, in.clues), nil
}

func (e *meshEngine) conclude(f finding, clues []evidence.Finding) finding {
	if e.witness != nil {
		e.witness(f.hits)
	}
	return e.judge(f, clues)
}

// look asks the detectors, and leaves out what the policy excludes.
func (e *meshEngine) look(req *flow.Request, in input) []evidence.Finding {
	found := evidence.Look(req, bodyOf(req, in))
	if len(found) == 0 || len(e.exclusions) == 0 {
		return found
	}
	return slices.DeleteFunc(found, func(f evidence.Finding) bool {
		return slices.ContainsFunc(e.exclusions, func(x exclusion) bool {
			return x.rule == f.Kind.ID() && x.covers(f.Location) && x.applies(req.Path, in.now)
		})
	})
}

// bodyOf is what the detectors read of a body. The texts of messages are found by the same
// readers that find them for the rules.
func bodyOf(req *flow.Request, in input) evidence.Body {
	kind, _ := req.Header.Get("content-type")
	b := evidence.Body{Text: in.body, Type: kind, Stop: in.meter.stopper(len(in.body))}
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	switch kind = strings.TrimSpace(kind); {
	case strings.HasPrefix(kind, "application/grpc-web-text"):
		b.Fields = fields(in.body, grpcWebTextBody)
	case strings.HasPrefix(kind, "application/grpc-web"):
		b.Fields = fields(in.body, grpcWebBody)
	case kind == "application/graphql":
		b.Fields = fields(in.body, bodies.GraphQL)
	case in.processor == protobufProcessor, isProtobuf(kind):
		b.Fields = fields(in.body, protobufBody)
	}
	return b
}

// fields yields the texts of a body. The rules refuse what is behind an error.
func fields(body []byte, read placesBody) func(yield func(name, value string)) {
	return func(yield func(name, value string)) {
		_ = read(string(body), &bodies.Sink{Left: mostFields, Add: func(name []byte, value string) bool {
			yield(string(name), value)
			return true
		}})
	}
}

// mostFields is how many texts of a message are looked at. Rule 7100006 refuses a
// message with more.
const mostFields = 1000

// isProtobuf tells the types that rule 7100503 of the profile names.
func isProtobuf(kind string) bool {
	switch kind {
	case "application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf", "application/proto":
		return true
	}
	return false
}

// judge makes one finding of both. What ended the transaction by itself, such as a body
// that cannot be parsed, is an attack whatever else there is.
func (e *meshEngine) judge(f finding, clues []evidence.Finding) finding {
	v := evidence.Judge(f.hits, clues)
	f.attack = f.refused || v.Score >= e.threshold
	f.score = v.Score
	for i, c := range v.Findings {
		if i == 0 {
			f.message, f.location = c.Kind.Message(), c.Location
		}
		f.addClue(c)
	}
	return f
}

// addClue adds the place in which a detector found something.
func (f *finding) addClue(c evidence.Finding) {
	id := c.Kind.ID()
	if !slices.Contains(f.rules, id) {
		f.rules = append(f.rules, id)
	}
	place := flow.Match{Rule: id, Location: c.Location, Decoded: c.Decoding}
	if len(f.matches) < maxMatches && !slices.Contains(f.matches, place) {
		f.matches = append(f.matches, place)
	}
}

// isDetector tells the ids of our detectors from those of rules.
func isDetector(id int) bool { return id >= 7200000 && id < 7300000 }

func knownDetector(id int) bool { return clue.ByID(id) != clue.None }

// covers tells whether an exclusion is about a place. A name alone is that of an
// argument, as in the exclusions of rules.
func (e exclusion) covers(location string) bool {
	if e.target == "" {
		return true
	}
	collection, name, _ := strings.Cut(location, ":")
	if of, target, ok := strings.Cut(e.target, ":"); ok {
		return strings.EqualFold(collection, of) && sameName(target, name)
	}
	return sameName(e.target, name) && (collection == "ARGS" || collection == "ARGS_NAMES")
}

// sameName compares the name of an exclusion, of which a segment may be a star, with
// one in a request; see [keyPattern].
func sameName(pattern, name string) bool {
	have := strings.Split(name, ".")
	for want := range strings.SplitSeq(pattern, ".") {
		number := len(have) > 0 && have[0] != "" && strings.Trim(have[0], "0123456789") == ""
		switch {
		case want == "*" && !number && inXML(pattern):
			continue
		case want == "*" && !number, want != "*" && (len(have) == 0 || !strings.EqualFold(want, have[0])):
			return false
		}
		have = have[1:]
	}
	return len(have) == 0
}

// inXML tells the names of places in XML, where the first of several has no number.
func inXML(name string) bool { return len(name) > 4 && strings.EqualFold(name[:4], "xml.") }

// scoring finds what a rule adds to the score.
var scoring = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)inbound_anomaly_score(?:_pl[1-4])?=\+(?:%\{tx\.([a-z]+)_anomaly_score\}|(\d+))`)
})

// hitOf describes a rule that matched and adds to the score. One that doesn't say how
// much in a way we know adds what a critical one does.
func hitOf(m corazatypes.MatchedRule) evidence.Hit {
	h := evidence.Hit{Rule: m.Rule().ID(), Points: 5, Location: location(m)}
	for i, d := range m.MatchedDatas() {
		if n := len(d.Value()); i == 0 || n < h.Size {
			h.Size = n
		}
	}
	found := scoring().FindStringSubmatch(m.Rule().Raw())
	if found == nil {
		return h
	}
	switch found[1] {
	case "error":
		h.Points = 4
	case "warning":
		h.Points = 3
	case "notice":
		h.Points = 2
	case "":
		if n, err := strconv.Atoi(found[2]); err == nil {
			h.Points = n
		}
	}
	return h
}
