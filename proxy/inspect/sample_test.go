package inspect

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/ftw"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A sample is a request of a corpus.
type sample struct {
	name string
	req  *flow.Request
	body string
}

// ruleSetSamples are the requests of the core rule set's own regression tests.
func ruleSetSamples(t testing.TB) (all []sample) {
	t.Helper()
	cases, err := ftw.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, s := range c.Stages {
			all = append(all, rawSample(c.ID, string(s.Raw)))
		}
	}
	return all
}

// rawSample reads a recorded request leniently: it need not be one that our HTTP
// engine would let through.
func rawSample(name, raw string) sample {
	head, body, _ := strings.Cut(strings.ReplaceAll(raw, "\r\n", "\n"), "\n\n")
	first, rest, _ := strings.Cut(head, "\n")
	words := strings.SplitN(first, " ", 3)
	for len(words) < 3 {
		words = append(words, "")
	}
	var fields header
	for l := range strings.Lines(rest) {
		name, value, _ := strings.Cut(strings.TrimRight(l, "\n"), ":")
		fields = append(fields, [2]string{name, strings.Trim(value, " \t")})
	}
	return newSample(name, words[0], words[1], words[2], fields, body)
}

func newSample(name, method, target, proto string, fields header, body string) sample {
	req := request(method, target)
	req.Header, req.Proto, req.Host = fields, proto, ""
	if host, ok := fields.Get("host"); ok {
		req.Host = host
	}
	return sample{name, req, body}
}
