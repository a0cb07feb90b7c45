package inspect

import (
	"encoding/base64"
	"io/fs"
	"strings"
	"testing"

	"github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A sample is a request of a corpus.
type sample struct {
	name string
	req  *flow.Request
	body string
}

type ftwFile struct {
	RuleID int `yaml:"rule_id"`
	Tests  []struct {
		ID     int `yaml:"test_id"`
		Stages []struct{ Input ftwInput }
	}
}

type ftwInput struct {
	Method, URI, Version, Data string
	Encoded                    string `yaml:"encoded_request"`
	Headers                    yaml.Node
}

// ruleSetSamples are the requests of the core rule set's own regression tests.
func ruleSetSamples(t testing.TB) (all []sample) {
	t.Helper()
	err := fs.WalkDir(tests.FS, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := fs.ReadFile(tests.FS, path)
		if err != nil {
			return err
		}
		var f ftwFile
		if err := yaml.Unmarshal(data, &f); err != nil {
			return err
		}
		for _, one := range f.Tests {
			for _, s := range one.Stages {
				all = append(all, s.Input.sample(t, path))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (in ftwInput) sample(t testing.TB, name string) sample {
	t.Helper()
	if in.Encoded != "" {
		raw, err := base64.StdEncoding.DecodeString(in.Encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return rawSample(name, string(raw))
	}
	var fields header
	for i := 0; i+1 < len(in.Headers.Content); i += 2 {
		fields = append(fields, [2]string{in.Headers.Content[i].Value, in.Headers.Content[i+1].Value})
	}
	return newSample(name, or(in.Method, "GET"), or(in.URI, "/"), or(in.Version, "HTTP/1.1"), fields, in.Data)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
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
