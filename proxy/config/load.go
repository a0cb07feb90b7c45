package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// LoadSidecar reads and parses the sidecar's file; see [ParseSidecar]. Instead of a
// path it takes "env:NAME" as well, for a file that is in an environment variable.
func LoadSidecar(path string) (*Sidecar, []Problem, error) {
	data, err := source(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the sidecar's configuration: %w", err)
	}
	return ParseSidecar(path, data)
}

// inEnvironment begins the name of a file that is in an environment variable.
const inEnvironment = "env:"

// InEnvironment tells whether a file for [LoadSidecar] is in the environment, where
// it doesn't change.
func InEnvironment(path string) bool { return strings.HasPrefix(path, inEnvironment) }

func source(path string) ([]byte, error) {
	name, ok := strings.CutPrefix(path, inEnvironment)
	if !ok {
		return ReadBounded(path)
	}
	text, ok := os.LookupEnv(name)
	if !ok {
		return nil, fmt.Errorf("there is no environment variable %q", name)
	}
	return []byte(text), nil
}

// ReadBounded reads a file of documents, a byte more than is allowed, so that the
// parser can say that it is too large without our reading all of it.
func ReadBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strict.MaxBytes+1))
}

// ParseSidecar parses the sidecar's file, fills in defaults and makes relative
// paths relative to the directory of name. The error, an [*Invalid], lists
// every problem; without an error the problems returned are warnings.
func ParseSidecar(name string, data []byte) (*Sidecar, []Problem, error) {
	docs, problems := strict.Split(name, data)
	switch {
	case len(docs) == 0 && len(problems) == 0:
		problems = append(problems, Problem{File: name, Message: "the file holds no document", Remedy: "write one of kind " + KindSidecar})
	case len(docs) > 1:
		problems = append(problems, docs[1].Problem("", "a second document in the sidecar's file",
			"keep policies in files of their own, in the directory that spec.policies names"))
	}
	var s Sidecar
	if len(docs) > 0 {
		problems = append(problems, s.decode(docs[0])...)
	}
	order(problems)
	if err := invalid(problems); err != nil {
		return nil, nil, err
	}
	s.resolve(filepath.Dir(name))
	return &s, problems, nil
}

func (s *Sidecar) decode(doc *strict.Document) []Problem {
	if p := checkHead(doc, KindSidecar); len(p) > 0 {
		// Of another kind, every key would be unknown.
		return p
	}
	decoding := doc.Decode(s)
	s.SetDefaults()
	c := &checker{doc: doc}
	c.sidecar(s)
	return merge(decoding, c.problems)
}

// checkHead looks at what says how to read the rest.
func checkHead(doc *strict.Document, kinds ...string) []Problem {
	c := &checker{doc: doc}
	switch doc.APIVersion {
	case APIVersion:
	case "":
		c.bad("apiVersion", "is missing or not text", "write "+APIVersion)
	default:
		c.bad("apiVersion", fmt.Sprintf("%q is not supported", doc.APIVersion), "write "+APIVersion)
	}
	if doc.Kind == "" {
		c.bad("kind", "is missing or not text", strict.Suggest("", kinds))
	} else if !slices.Contains(kinds, doc.Kind) {
		c.bad("kind", fmt.Sprintf("%q is not a kind known here", doc.Kind), strict.Suggest(doc.Kind, kinds))
	}
	return c.problems
}

// resolve makes relative paths relative to dir.
func (s *Sidecar) resolve(dir string) {
	at := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	if f := s.Spec.Identity.Files; f != nil {
		f.SVID, f.Key = at(f.SVID), at(f.Key)
		for domain, path := range f.Bundles {
			f.Bundles[domain] = at(path)
		}
	}
	if m := s.Spec.Identity.MeshCA; m != nil {
		m.Token, m.TrustAnchors = at(m.Token), at(m.TrustAnchors)
	}
	if p := s.Spec.Policies; p != nil {
		p.Directory, p.Shadow = at(p.Directory), at(p.Shadow)
		if p.ControlPlane != nil {
			p.ControlPlane.Cache = at(p.ControlPlane.Cache)
		}
	}
	if l := &s.Spec.AccessLog; !l.reserved() {
		l.Output = at(l.Output)
		if l.reserved() {
			// "./stdout" names a file and has to keep doing so.
			l.Output = "./" + l.Output
		}
	}
}
