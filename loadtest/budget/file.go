package budget

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// What a budget file says it is.
const (
	APIVersion = "outrider.dev/v1alpha1"
	Kind       = "LoadBudget"
)

// A File is a budget file: loads, and what each of them may cost.
type File struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	Spec       Spec     `yaml:"spec"`
}

// Metadata names the file.
type Metadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace,omitempty"`
	Labels    map[string]string `yaml:"labels,omitempty"`
}

// Spec is what a budget file asks for.
type Spec struct {
	// Targets are what the scenarios speak of; none: the mesh that the tool
	// starts itself, with targets direct, mesh and inspected.
	Targets map[string]TargetSpec `yaml:"targets,omitempty"`
	// Scenarios are the loads, in the order they run.
	Scenarios []Scenario `yaml:"scenarios"`
}

// A TargetSpec says where a target is.
type TargetSpec struct {
	// URL is http://HOST:PORT or https://HOST:PORT; tcp:// and tls:// for TCP.
	URL string `yaml:"url"`
	// Watch are processes that work for it, as NAME=pid:N or NAME=cgroup:PATH.
	Watch []string `yaml:"watch,omitempty"`
}

// A Scenario is one load and its budget.
type Scenario struct {
	Name string `yaml:"name"`
	// Base and Test are targets; empty: direct, and mesh or inspected.
	Base string `yaml:"base,omitempty"`
	Test string `yaml:"test,omitempty"`
	// Inspection takes the target inspected as the test.
	Inspection bool `yaml:"inspection,omitempty"`

	Protocol target.Protocol   `yaml:"protocol,omitempty"`
	Method   string            `yaml:"method,omitempty"`
	Path     string            `yaml:"path,omitempty"`
	Headers  map[string]string `yaml:"headers,omitempty"`
	// Body is the text of each request's body; BodyBytes makes one of that
	// length.
	Body      string `yaml:"body,omitempty"`
	BodyBytes int    `yaml:"bodyBytes,omitempty"`
	// Status is the only one that counts as success; 0: any 2xx.
	Status int `yaml:"status,omitempty"`

	// Rate is as on the command line; empty: a closed loop.
	Rate string `yaml:"rate,omitempty"`
	// Arrivals are even or poisson.
	Arrivals    Arrivals `yaml:"arrivals,omitempty"`
	Connections int      `yaml:"connections,omitempty"`
	Streams     int      `yaml:"streams,omitempty"`

	Rounds int           `yaml:"rounds,omitempty"`
	Warmup time.Duration `yaml:"warmup,omitempty"`
	Block  time.Duration `yaml:"block,omitempty"`

	// Budget is by what it bounds: p99: +500us, errors: 0.1%.
	Budget map[string]string `yaml:"budget"`
}

// Arrivals are how requests are laid along a rate.
type Arrivals string

// The arrivals.
const (
	Even    Arrivals = "even"
	Poisson Arrivals = "poisson"
)

// Values are those a document may use.
func (Arrivals) Values() []string { return []string{string(Even), string(Poisson)} }

// The targets of the mesh that the tool starts itself.
const (
	Direct    = "direct"
	Mesh      = "mesh"
	Inspected = "inspected"
)

// Defaults of a scenario. 20 rounds of a second each tell a percentile apart
// that moves by a tenth of its spread.
const (
	DefaultConnections = 32
	DefaultRounds      = 20
	DefaultBlock       = time.Second
	DefaultWarmup      = 200 * time.Millisecond
)

// maxFile bounds a budget file, in bytes.
const maxFile = 1 << 20

// Load reads a budget file. The error is an *Invalid if it can be read and is
// wrong.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", path, maxFile)
	}
	return ParseFile(path, text)
}

// Invalid is the error for a budget file that is not accepted: everything that is
// wrong with it.
type Invalid struct{ Problems []strict.Problem }

// Error lists every problem, one a line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ParseFile parses the text of a budget file and fills in what it leaves out.
func ParseFile(name string, text []byte) (*File, error) {
	docs, problems := strict.Split(name, text)
	if len(problems) > 0 {
		return nil, &Invalid{problems}
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("%s: has %d documents, want one", name, len(docs))
	}
	f, c := new(File), checker{doc: docs[0]}
	c.problems = docs[0].Decode(f)
	c.file(f)
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b strict.Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field))
		})
		return nil, &Invalid{c.problems}
	}
	return f, nil
}

func (s *Scenario) setDefaults() {
	fill(&s.Base, Direct)
	switch {
	case s.Test != "":
	case s.Inspection:
		s.Test = Inspected
	default:
		s.Test = Mesh
	}
	fill(&s.Protocol, target.HTTP1)
	fill(&s.Path, "/")
	fill(&s.Arrivals, Even)
	fill(&s.Connections, DefaultConnections)
	fill(&s.Streams, 1)
	fill(&s.Rounds, DefaultRounds)
	fill(&s.Block, DefaultBlock)
	fill(&s.Warmup, DefaultWarmup)
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Bounds is the scenario's budget; a file that was accepted has no mistake in it.
func (s *Scenario) Bounds() (Budget, error) {
	var b Budget
	for _, name := range slices.Sorted(maps.Keys(s.Budget)) {
		if err := b.Set(name, s.Budget[name]); err != nil {
			return Budget{}, err
		}
	}
	return b, nil
}

// Options are those of one target of the scenario; base is its URL without a path.
func (s *Scenario) Options(base string) target.Options {
	o := target.Options{
		URL: strings.TrimSuffix(base, "/"), Protocol: s.Protocol, Method: s.Method, Body: []byte(s.Body),
		Status: s.Status, Streams: s.Streams,
	}
	if s.Protocol != target.TCP {
		o.URL += s.Path
	}
	if s.BodyBytes > 0 {
		o.Body = []byte(strings.Repeat("x", min(s.BodyBytes, maxBody)))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if strings.EqualFold(name, "host") {
			o.Host = s.Headers[name]
			continue
		}
		o.Header = append(o.Header, target.Field{Name: name, Value: s.Headers[name]})
	}
	return o
}
