package capture

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// tableInForce is our table as the kernel has it.
type tableInForce struct {
	table  *nftables.Table
	chains []*nftables.Chain
	rules  map[string][]*nftables.Rule // by chain
}

// installed reads our table; nil if there is none. A table of that name that is
// not in the form that we write is ErrForeign.
func installed(c *nftables.Conn) (*tableInForce, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, explain("read the tables", err)
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == Table })
	if i < 0 {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	f := &tableInForce{table: tables[i], rules: map[string][]*nftables.Rule{}}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, explain("read the chains", err)
	}
	for _, ch := range chains {
		if ch.Table.Name != Table {
			continue
		}
		f.chains = append(f.chains, ch)
		if f.rules[ch.Name], err = c.GetRules(f.table, ch); err != nil {
			return nil, explain("read the rules", err)
		}
	}
	sets, err := c.GetSets(f.table)
	if err != nil {
		return nil, explain("read the sets", err)
	}
	if len(sets) > 0 || !f.ours() {
		return nil, ErrForeign
	}
	return f, nil
}

// ours tells whether the table looks as we write it: no chains but ours, and in
// each rule a counter and a comment.
func (f *tableInForce) ours() bool {
	for _, ch := range f.chains {
		if !slices.Contains([]string{chainApplication, chainInbound, chainOutbound}, ch.Name) {
			return false
		}
		for _, r := range f.rules[ch.Name] {
			comment, ok := commentOf(r.UserData)
			if !ok || comment == "" || counterOf(r) == nil {
				return false
			}
		}
	}
	return true
}

func counterOf(r *nftables.Rule) *expr.Counter {
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Counter); ok {
			return c
		}
	}
	return nil
}

// InForce renders the plan that the kernel has, with what each rule has counted.
// What differs from p is an error.
func (p *Plan) InForce() (string, error) {
	c, err := dial()
	if err != nil {
		return "", explain("talk to nf_tables", err)
	}
	f, err := installed(c)
	if err != nil {
		return "", err
	}
	if f == nil {
		return "", fmt.Errorf("%w: there is no table inet %s; install it with outrider capture", ErrBypassed, Table)
	}
	if err := p.compare(f); err != nil {
		return "", fmt.Errorf("%w: %w; install this plan again with outrider capture", ErrBypassed, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", Table)
	for i, ch := range p.chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		var hits []Hits
		for _, r := range f.rules[ch.name] {
			n := counterOf(r)
			hits = append(hits, Hits{Packets: n.Packets, Bytes: n.Bytes})
		}
		ch.render(&b, hits)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// compare tells how the table in force differs from the plan.
func (p *Plan) compare(f *tableInForce) error {
	if len(f.chains) != len(p.chains) {
		return fmt.Errorf("there are %d chains, where the plan has %d", len(f.chains), len(p.chains))
	}
	for _, want := range p.chains {
		i := slices.IndexFunc(f.chains, func(c *nftables.Chain) bool { return c.Name == want.name })
		if i < 0 {
			return fmt.Errorf("chain %s is missing", want.name)
		}
		if err := want.compare(f.chains[i], f.rules[want.name]); err != nil {
			return fmt.Errorf("chain %s: %w", want.name, err)
		}
	}
	return nil
}

func (c chain) compare(got *nftables.Chain, rules []*nftables.Rule) error {
	want := c.encode(got.Table)
	if !reflect.DeepEqual([]any{want.Type, want.Hooknum, want.Priority, want.Policy}, []any{got.Type, got.Hooknum, got.Priority, got.Policy}) {
		return errors.New("it is consulted at another place")
	}
	if len(rules) != len(c.rules) {
		return fmt.Errorf("it has %d rules, where the plan has %d", len(rules), len(c.rules))
	}
	for i, r := range c.rules {
		want, err := r.expressions()
		if err != nil {
			return err
		}
		if comment, _ := commentOf(rules[i].UserData); comment != r.why || !reflect.DeepEqual(uncounted(rules[i].Exprs), want) {
			return fmt.Errorf("its rule %d is not %q", i+1, r.render("counter"))
		}
	}
	return nil
}

// uncounted returns the expressions with the counter at zero.
func uncounted(list []expr.Any) []expr.Any {
	list = slices.Clone(list)
	for i, e := range list {
		if _, ok := e.(*expr.Counter); ok {
			list[i] = &expr.Counter{}
		}
	}
	return list
}
