package main

import (
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// threshold is a policy's default.
const threshold = 5

// A result is what was said of one sample.
type result struct {
	sample *corpus.Sample
	known  entry
	// findings are the detectors', verdict what they and the rules amount to.
	findings []evidence.Finding
	verdict  evidence.Verdict
}

func (r *result) attack() bool { return r.sample.Label == corpus.Attack }

// The engines that are compared.
func (r *result) stock() bool     { return r.known.Stock.attacked() }
func (r *result) detectors() bool { return evidence.Judge(nil, r.findings).Score >= threshold }
func (r *result) mesh() bool      { return r.known.Refused || r.verdict.Score >= threshold }

// evaluate asks our own part about a sample; what the rule set found is known.
func evaluate(s *corpus.Sample, known entry, inspectBytes int) result {
	r := result{sample: s, known: known}
	body := s.Body[:min(len(s.Body), inspectBytes)]
	kind, _ := header(s).Get("content-type")
	r.findings = evidence.Look(requestOf(s), evidence.Body{Text: body, Type: kind})
	r.verdict = evidence.Judge(known.Heard, r.findings)
	return r
}

// class names the class of attacks that a sample is of. The corpus does not say, so it
// is what whoever noticed it says: the detectors' heaviest finding, else the rule set.
func (r *result) class() string {
	if len(r.verdict.Findings) > 0 {
		return string(r.verdict.Findings[0].Kind.Class())
	}
	for _, id := range r.known.Stock.Rules {
		if name, ok := classes[id/1000]; ok {
			return name
		}
	}
	return "unknown"
}

// classes are those of the rule set that are about attacks.
var classes = map[int]string{
	930: "path", 931: "url", 932: "shell", 933: "code", 934: "code", 941: "script", 942: "sql", 944: "object", 921: "protocol",
}
