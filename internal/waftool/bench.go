package waftool

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// A BenchRequest says what to measure.
type BenchRequest struct {
	// Files are requests; none measures a small GET and 1 KB of JSON.
	Files []string
	Stdin io.Reader
	// Rounds is how often each group is measured; the median counts.
	Rounds int
}

// A ruleGroup is a file of the core rule set that looks for something.
type ruleGroup struct {
	number int // of its rules, in thousands
	about  string
}

func ruleGroups() []ruleGroup {
	return []ruleGroup{
		{911, "methods"},
		{913, "scanners"},
		{920, "protocol"},
		{921, "protocol attacks"},
		{922, "multipart"},
		{930, "local files"},
		{931, "remote files"},
		{932, "shell commands"},
		{933, "PHP"},
		{934, "other languages"},
		{941, "XSS"},
		{942, "SQL injection"},
		{943, "session fixation"},
		{944, "Java"},
	}
}

// A measured is a group with the engine that has no other, or none, or all of them.
type measured struct {
	ruleGroup
	inspector *inspect.Inspector
	took      []time.Duration
}

func (m *measured) median() time.Duration {
	slices.Sort(m.took)
	return m.took[len(m.took)/2]
}

// Bench prints what each group of rules costs: the time with it alone less the time
// with none.
func Bench(ctx context.Context, r BenchRequest, out io.Writer) error {
	samples, err := r.samples()
	if err != nil {
		return err
	}
	all, err := prepare()
	if err != nil {
		return err
	}
	defer func() {
		for _, m := range all {
			m.inspector.Close()
		}
	}()
	for _, s := range samples {
		if err := measure(ctx, all, s.raw, r.Rounds); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := table(out, s.name, all); err != nil {
			return err
		}
	}
	return nil
}

type sample struct {
	name string
	raw  []byte
}

func (r *BenchRequest) samples() ([]sample, error) {
	if len(r.Files) == 0 {
		const head = "Host: shop\r\nUser-Agent: checkout/1.2\r\nAccept: application/json\r\n"
		body := `{"items":[` + strings.Repeat(`{"id":12345,"name":"item"},`, 37) + `0]}`
		return []sample{
			{"a small GET", []byte("GET /v1/charges/42 HTTP/1.1\r\n" + head + "\r\n")},
			{"1 KB of JSON", fmt.Appendf(nil, "POST /v1/charges HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)},
		}, nil
	}
	var all []sample
	for _, name := range r.Files {
		raw, err := (&TestRequest{Stdin: r.Stdin}).read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, sample{name, raw})
	}
	return all, nil
}

// prepare builds the engines: with nothing, with everything, and with each group.
func prepare() ([]*measured, error) {
	all := []*measured{{ruleGroup: ruleGroup{about: "without rules"}}, {ruleGroup: ruleGroup{number: 1, about: "all rules"}}}
	for _, g := range ruleGroups() {
		all = append(all, &measured{ruleGroup: g})
	}
	for _, m := range all {
		var p config.InspectionPolicy
		p.Metadata.Name = "bench"
		p.Spec.Rules = m.removals()
		p.Spec.CPUMillis = 10_000
		var err error
		if m.inspector, err = inspect.New([]config.InspectionPolicy{p}, inspect.Options{Bounds: patient}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// removals takes out all groups but one.
func (m *measured) removals() string {
	var b strings.Builder
	for _, g := range ruleGroups() {
		if m.number != 1 && g.number != m.number {
			fmt.Fprintf(&b, "SecRuleRemoveById %d000-%d999\n", g.number, g.number)
		}
	}
	return b.String()
}

// measure asks all engines in turn, so that what disturbs the machine disturbs each.
func measure(ctx context.Context, all []*measured, raw []byte, rounds int) error {
	for _, m := range all {
		m.took = m.took[:0]
	}
	for round := range rounds + 1 {
		for _, m := range all {
			began := time.Now()
			if _, err := judge(ctx, m.inspector, raw, ""); err != nil {
				return err
			}
			if took := time.Since(began); round > 0 { // the first warms up
				m.took = append(m.took, took)
			}
		}
	}
	return nil
}

// table prints the dearest group first.
func table(out io.Writer, name string, all []*measured) error {
	none, whole := all[0].median(), all[1].median()
	groups := slices.Clone(all[2:])
	slices.SortFunc(groups, func(a, b *measured) int { return cmp.Compare(b.median(), a.median()) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n  RULES\tLOOK FOR\tµs\n  all\t\t%d\n  none\t\t%d\n", name, whole.Microseconds(), none.Microseconds())
	for _, m := range groups {
		fmt.Fprintf(w, "  %dxxx\t%s\t%d\n", m.number, m.about, max(0, m.median()-none).Microseconds())
	}
	fmt.Fprintln(w)
	return w.Flush()
}
