package inspect

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/rules"
)

// manual is a section of docs/waf.md, from its title to the next.
func manual(t *testing.T, title string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/waf.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/waf.md has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// rows are those of the table under a heading, as cells. An empty first cell is that of
// the row above.
func rows(t *testing.T, section, heading string) [][]string {
	t.Helper()
	_, rest, ok := strings.Cut(section, heading+"\n")
	if !ok {
		t.Fatalf("there is no table with the heading %q", heading)
	}
	var all [][]string
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		if strings.HasPrefix(cells[0], "---") {
			continue
		}
		if cells[0] == "" && len(all) > 0 {
			cells[0] = all[len(all)-1][0]
		}
		all = append(all, cells)
	}
	return all
}

// setting returns the policy in which the named setting says allow, or deny.
func setting(t *testing.T, name string, mode config.FailureMode) *policy {
	t.Helper()
	var f config.OnFailure
	fields := map[string]*config.FailureMode{
		"onFailure.error": &f.Error, "onFailure.timeout": &f.Timeout, "onFailure.overload": &f.Overload,
		"onFailure.encoding": &f.Encoding, "onFailure.arguments": &f.Arguments, "onFailure.stream": &f.Stream,
	}
	if fields[name] == nil {
		t.Fatalf("there is no setting %q", name)
	}
	*fields[name] = mode
	p, err := compile(policyDoc(config.InspectionSpec{OnFailure: f}), testOptions().withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The manual says of each outcome what becomes of it by default, and which setting says
// otherwise.
func TestTheManualHasEveryOutcome(t *testing.T) {
	table := rows(t, manual(t, "What happens when inspection cannot be done"), "| reason | when | default | setting |")
	named, settings := map[string]int{}, 0
	for _, row := range table {
		if len(row) != 4 {
			t.Fatalf("row %q has %d cells", row, len(row))
		}
		named[row[0]]++
		reason := slices.IndexFunc(reasons(), func(u flow.Uninspected) bool { return u.String() == row[0] })
		if reason < 0 {
			t.Errorf("%s is no reason", row[0])
			continue
		}
		if !strings.HasPrefix(row[3], "onFailure.") {
			continue
		}
		settings++
		why := reasons()[reason]
		if refused := row[2] == "refused"; setting(t, row[3], "").denies(why) != refused {
			t.Errorf("%s: the manual says %q of the default", row[0], row[2])
		}
		if setting(t, row[3], config.FailAllow).denies(why) || !setting(t, row[3], config.FailDeny).denies(why) {
			t.Errorf("%s does not decide about %s", row[3], row[0])
		}
	}
	for _, u := range reasons() {
		if named[u.String()] == 0 {
			t.Errorf("the manual does not say when a request is not inspected for %s", u)
		}
	}
	if len(table) < 10 || settings < 6 {
		t.Errorf("the table has %d rows, %d of them with a setting of onFailure", len(table), settings)
	}
}

// reasons are all but that there is none.
func reasons() []flow.Uninspected {
	var all []flow.Uninspected
	for u := range flow.Uninspected(flow.UninspectedCount) {
		if u != flow.Inspected {
			all = append(all, u)
		}
	}
	return all
}

// Each rule of ours that refuses by itself is in the manual, and no other is.
func TestTheManualHasEveryRuleThatRefuses(t *testing.T) {
	ids := regexp.MustCompile(`\b71\d{5}\b`)
	denying := regexp.MustCompile(`id:(71\d{5}),phase:\d,deny`)
	var want, got []string
	for _, m := range denying.FindAllStringSubmatch(rules.Base()+rules.Mesh()+rules.Last(), -1) {
		want = append(want, m[1])
	}
	for _, row := range rows(t, manual(t, "What happens when inspection cannot be done"), "| rule | refuses |") {
		got = append(got, ids.FindAllString(row[0], -1)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 7 || !slices.Equal(want, got) {
		t.Errorf("the manual has rules %q, the engine %q", got, want)
	}
}
