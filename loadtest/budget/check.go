package budget

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// checker collects what is wrong with a file.
type checker struct {
	doc      *strict.Document
	problems []strict.Problem
}

// bad reports a problem, unless decoding has already had one with that field.
func (c *checker) bad(field, message, remedy string) {
	for _, p := range c.problems {
		if p.Field == field || p.Field != "" && strings.HasPrefix(field, p.Field+".") {
			return
		}
	}
	c.problems = append(c.problems, c.doc.Problem(field, message, remedy))
}

// note reports an error of a parser, or each of several that were joined.
func (c *checker) note(field string, err error) {
	for i, e := range Apart(err) {
		if i == 0 {
			c.bad(field, e.Error(), "")
			continue
		}
		c.problems = append(c.problems, c.doc.Problem(field, e.Error(), ""))
	}
}

// Apart undoes [errors.Join]: each of the errors in err by itself, none for nil.
func Apart(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, Apart(e)...)
	}
	return all
}

func (c *checker) file(f *File) {
	if f.APIVersion != APIVersion {
		c.bad("apiVersion", fmt.Sprintf("%q is not understood", f.APIVersion), "write "+APIVersion)
	}
	if f.Kind != Kind {
		c.bad("kind", fmt.Sprintf("%q is no budget file", f.Kind), "write "+Kind)
	}
	if f.Metadata.Name == "" {
		c.bad("metadata.name", "is missing or empty", "name the file")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Spec.Targets)) {
		c.target(strict.Key("spec.targets", name), name, f.Spec.Targets[name])
	}
	if len(f.Spec.Scenarios) == 0 {
		c.bad("spec.scenarios", "is missing or empty", "describe at least one load")
	}
	seen := map[string]int{}
	for i := range f.Spec.Scenarios {
		s := &f.Spec.Scenarios[i]
		at := fmt.Sprintf("spec.scenarios[%d]", i)
		if first, again := seen[s.Name]; again && s.Name != "" {
			c.bad(at+".name", fmt.Sprintf("%q is the name of spec.scenarios[%d] too", s.Name, first), "name them apart")
		}
		seen[s.Name] = i
		s.setDefaults()
		c.scenario(at, s, f.Spec.Targets)
	}
}

func (c *checker) target(at, name string, t TargetSpec) {
	if name == "" {
		c.bad(at, "a target has no name", "name it")
	}
	u, err := url.Parse(t.URL)
	switch {
	case t.URL == "":
		c.bad(at+".url", "is missing or empty", "write http://HOST:PORT")
	case err != nil:
		c.note(at+".url", err)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		c.bad(at+".url", fmt.Sprintf("%q has a path", t.URL), "leave it to the scenarios' path")
	case u.Host == "":
		c.bad(at+".url", fmt.Sprintf("%q has no host", t.URL), "write http://HOST:PORT")
	}
	names := map[string]bool{}
	for i, text := range t.Watch {
		field := fmt.Sprintf("%s.watch[%d]", at, i)
		c.note(field, watch.CheckGroup(text))
		name, _, _ := strings.Cut(text, "=")
		if names[name] {
			c.bad(field, fmt.Sprintf("the name %q stands there twice", name), "name them apart")
		}
		names[name] = true
	}
}

func (c *checker) scenario(at string, s *Scenario, targets map[string]TargetSpec) {
	if s.Name == "" {
		c.bad(at+".name", "is missing or empty", "name the load")
	}
	if s.Inspection && s.Test != Inspected {
		c.bad(at+".inspection", fmt.Sprintf("says inspected, but test says %q", s.Test), "remove one of them")
	}
	known := []string{Direct, Mesh, Inspected}
	if len(targets) > 0 {
		known = slices.DeleteFunc(slices.Sorted(maps.Keys(targets)), func(name string) bool { return name == "" })
	}
	for field, name := range map[string]string{"base": s.Base, "test": s.Test} {
		if !slices.Contains(known, name) {
			c.bad(at+"."+field, fmt.Sprintf("%q is none of the targets", name), "name one of "+strings.Join(known, ", "))
		}
	}
	if s.Base == s.Test {
		c.bad(at+".test", "is the base too", "name another target")
	}
	if s.Body != "" && s.BodyBytes != 0 {
		c.bad(at+".bodyBytes", "stands beside body", "remove one of them")
	}
	for _, count := range []struct {
		field   string
		n, most int
	}{
		{"bodyBytes", s.BodyBytes, maxBody},
		{"connections", s.Connections, MaxConnections},
		{"streams", s.Streams, MaxStreams},
		{"rounds", s.Rounds, MaxRounds},
		{"status", s.Status, 599},
	} {
		if count.n < 0 || count.n > count.most {
			c.bad(at+"."+count.field, fmt.Sprintf("%d is not between 0 and %d", count.n, count.most), "remove it for the default")
		}
	}
	for field, d := range map[string]time.Duration{"warmup": s.Warmup, "block": s.Block} {
		if d < 0 || d > MaxBlock {
			c.bad(at+"."+field, fmt.Sprintf("%s is not between 0 and %s", d, MaxBlock), "remove it for the default")
		}
	}
	if s.Rate != "" {
		_, err := pace.Parse(s.Rate)
		c.note(at+".rate", err)
	}
	c.request(at, s, targets)
	c.budget(at, s)
}

// request lets package target judge the request, on its way to each target. A mistake
// that is the request's own is named once.
func (c *checker) request(at string, s *Scenario, targets map[string]TargetSpec) {
	if !slices.Contains(target.Protocols(), s.Protocol) {
		c.bad(at+".protocol", fmt.Sprintf("%q is not known", s.Protocol), fmt.Sprintf("write one of %v", target.Protocols()))
		return
	}
	if s.Protocol != target.HTTP1 && len(targets) == 0 {
		c.bad(at+".protocol", fmt.Sprintf("the mesh that is measured without targets carries %s, not %s", target.HTTP1, s.Protocol), "name targets")
	}
	if s.Protocol != target.TCP && !strings.HasPrefix(s.Path, "/") {
		c.bad(at+".path", fmt.Sprintf("%q does not begin with a slash", s.Path), "write /"+s.Path)
		return
	}
	schemes := map[target.Protocol]string{target.TCP: "tcp", target.HTTP3: "https"}
	_, err := target.New(s.Options(cmp.Or(schemes[s.Protocol], "http") + "://localhost:1"))
	c.note(at, err)
	own := fmt.Sprint(err)
	for _, end := range []struct{ field, name string }{{"base", s.Base}, {"test", s.Test}} {
		spec, named := targets[end.name]
		if u, err := url.Parse(spec.URL); !named || err != nil || u.Host == "" {
			continue
		}
		if _, err := target.New(s.Options(spec.URL)); err != nil && err.Error() != own {
			c.bad(at+"."+end.field, Apart(err)[0].Error(), "")
		}
	}
}

// What makes sense at most; more is a slip of the pen.
const (
	MaxConnections = 4096
	MaxStreams     = 1000
	MaxRounds      = 1000
	MaxBlock       = time.Hour // of a block, and of its warm-up

	maxBody = 1 << 20 // bytes
)

func (c *checker) budget(at string, s *Scenario) {
	if len(s.Budget) == 0 {
		c.bad(at+".budget", "is missing or empty", "write p99: +500us")
	}
	var b Budget
	for _, name := range slices.Sorted(maps.Keys(s.Budget)) {
		c.note(strict.Key(at+".budget", name), b.Set(name, s.Budget[name]))
	}
}
