package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// written renders a page and reads it as a browser does.
func written(t *testing.T, d *Document) (text string, root *html.Node) {
	t.Helper()
	var b bytes.Buffer
	if err := d.WritePage(&b); err != nil {
		t.Fatal(err)
	}
	text = b.String()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return text, root
}

// elements are all that a page has, in its order.
func elements(root *html.Node) []*html.Node {
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attribute(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attribute(n, "class")), class)
}

// counts are how many there are of what a page consists of.
type counts struct{ Scenarios, TargetRows, FindingRows, CostRows, Doubts, Wide, Panels, Curves, Dots int }

// expected are those of a document.
func expected(d *Document) counts {
	c := counts{Scenarios: len(d.Scenarios)}
	for _, s := range d.Scenarios {
		c.TargetRows += len(s.Targets)
		c.Doubts += len(s.Doubts)
		c.Wide += 1 + len(s.Targets)
		c.Curves += len(s.Targets) + 2*len(s.Targets) // by percentile; p50 and p99 by second
		for _, t := range s.Targets {
			c.CostRows += len(t.Watched)
			if lost, _ := t.lost(); lost > 0 {
				c.Doubts++
			}
		}
		for _, cmp := range s.Comparisons {
			c.FindingRows += len(cmp.Findings)
			c.Panels += 3 // p50, p99 and p99.9
			c.Dots += 3 * s.Load.Rounds
		}
	}
	return c
}

func counted(root *html.Node) counts {
	var c counts
	for _, n := range elements(root) {
		switch {
		case n.Data == "section" && strings.HasPrefix(attribute(n, "id"), "scenario-"):
			c.Scenarios++
		case n.Data == "tr" && n.Parent.Data == "tbody":
			table := n.Parent.Parent
			for class, into := range map[string]*int{"targets": &c.TargetRows, "findings": &c.FindingRows, "costs": &c.CostRows} {
				if hasClass(table, class) {
					*into++
				}
			}
		case hasClass(n, "doubt"):
			c.Doubts++
		case hasClass(n, "chart") && hasClass(n, "wide"):
			c.Wide++
		case hasClass(n, "chart") && hasClass(n, "panel"):
			c.Panels++
		case hasClass(n, "curve") && !hasClass(n.Parent, "swatch"):
			c.Curves++
		case hasClass(n, "dot"), hasClass(n, "beyond"):
			c.Dots++
		}
	}
	return c
}

func TestPagesShowAllOfTheDocument(t *testing.T) {
	all := documents(t)
	if len(all) < 8 {
		t.Fatalf("only %d documents", len(all))
	}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			page, root := written(t, d)
			if diff := cmp.Diff(expected(d), counted(root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(page) > 1_000_000 {
				t.Errorf("it has %d bytes", len(page))
			}
			t.Logf("%d bytes", len(page))
			checkAccessible(t, root)
			checkSelfContained(t, root)
		})
	}
}

// checkAccessible looks for what a screen reader needs.
func checkAccessible(t *testing.T, root *html.Node) {
	t.Helper()
	ids, level := map[string]bool{}, 0
	for _, n := range elements(root) {
		if id := attribute(n, "id"); id != "" && ids[id] {
			t.Errorf("two elements have the id %q", id)
		} else if id != "" {
			ids[id] = true
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") != "en" {
				t.Error("the language is not told")
			}
		case "h1", "h2", "h3":
			next := int(n.Data[1] - '0')
			if next > level+1 {
				t.Errorf("%s follows a heading of level %d", n.Data, level)
			}
			level = next
		case "table":
			if n.FirstChild.NextSibling.Data != "caption" {
				t.Errorf("a table begins with %q instead of its caption", n.FirstChild.NextSibling.Data)
			}
		case "th":
			if attribute(n, "scope") == "" || text(n) == "" {
				t.Errorf("a head of a table has scope %q and text %q", attribute(n, "scope"), text(n))
			}
		case "svg":
			hidden := attribute(n, "aria-hidden") == "true"
			if !hidden && (attribute(n, "role") != "img" || len(attribute(n, "aria-label")) < 20) {
				t.Errorf("an image is neither hidden nor described: %v", n.Attr)
			}
		}
	}
	for _, n := range elements(root) {
		if labelled := attribute(n, "aria-labelledby"); labelled != "" && !ids[labelled] {
			t.Errorf("nothing has the id %q", labelled)
		}
	}
}

// checkSelfContained sees that a page has only what it may have: elements that
// show, no address but of itself, and style and script that its policy names.
func checkSelfContained(t *testing.T, root *html.Node) {
	t.Helper()
	known := strings.Fields(`html head meta title link style body header h1 h2 h3 p span ul ol li nav a main section strong div
		table caption thead tbody tr th td figure figcaption svg path rect text output dl dt dd script`)
	addresses := strings.Fields("src href xlink:href srcset action formaction data poster background cite manifest ping")
	once, policy := map[string]string{}, ""
	for _, n := range elements(root) {
		if !slices.Contains(known, n.Data) {
			t.Errorf("it has an element %s", n.Data)
		}
		switch {
		case n.Data == "style" || n.Data == "script":
			if once[n.Data] != "" {
				t.Errorf("it has two of %s", n.Data)
			}
			once[n.Data] = text(n)
		case attribute(n, "http-equiv") != "":
			policy = attribute(n, "content")
		}
		for _, a := range n.Attr {
			local := strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "data:application/json;base64,") || a.Val == "data:,"
			if slices.Contains(addresses, a.Key) && !local {
				t.Errorf("%s leads to %s=%.60q", n.Data, a.Key, a.Val)
			}
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("%s has %s=%.60q", n.Data, a.Key, a.Val)
			}
		}
	}
	for of, content := range once {
		sum := sha256.Sum256([]byte(content))
		if want := of + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy %q does not have %s", policy, want)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy is %q", policy)
	}
	for _, loads := range []string{"url(", "@import", "fetch", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "import(", "innerHTML", "eval", "http"} {
		if strings.Contains(pageCSS+pageJS, loads) {
			t.Errorf("style or script has %q", loads)
		}
	}
}

// Names that are markup are text, wherever they stand.
func TestForeignTextIsInert(t *testing.T) {
	d := hostile(t)
	_, root := written(t, d)
	shown := text(root)
	s := d.Scenarios[0]
	for _, name := range []string{s.Name, s.Targets[0].Name, s.Targets[1].Name, s.Targets[1].URL, s.Load.Request, d.Machine.CPUModel, s.Targets[1].FirstFailure} {
		if !strings.Contains(shown, name) {
			t.Errorf("%q is not shown as it is", name)
		}
	}
	var described int
	for _, n := range elements(root) {
		if strings.Contains(attribute(n, "aria-label"), s.Targets[1].Name) {
			described++
		}
		if r := attribute(n, "data-readings"); r != "" && !json.Valid([]byte(r)) {
			t.Errorf("readings are no JSON: %.80s", r)
		}
	}
	if described < 4 {
		t.Errorf("only %d descriptions have the name as it is", described)
	}
}

func TestPageCarriesTheDocument(t *testing.T) {
	d := everything(t)
	_, root := written(t, d)
	for _, n := range elements(root) {
		encoded, ok := strings.CutPrefix(attribute(n, "href"), "data:application/json;base64,")
		if !ok {
			continue
		}
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadJSON(bytes.NewReader(decoded))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	t.Error("there is no download")
}

func TestPageLeavesOutWhatIsTooLarge(t *testing.T) {
	d := short(t)
	d.Command = []string{strings.Repeat("x", maxCarried)}
	page, _ := written(t, d)
	if strings.Contains(page, "data:application/json") || !strings.Contains(page, "too much to be carried along") {
		t.Error("the page carries too much, or does not say that it does not")
	}
}

// Of a target that never answered there are figures that are none, which JSON can't
// hold. People are told all the same.
func TestWhatIsNoNumberIsShownAsAbsent(t *testing.T) {
	d := short(t)
	c := &d.Scenarios[0].Comparisons[0]
	for i := range c.Findings {
		c.Findings[i].Test, c.Findings[i].Added = math.NaN(), math.Inf(1)
	}
	d.Scenarios[0].Targets[1].Latency = Latency{P99: math.NaN()}
	page, _ := written(t, d)
	var table, metrics strings.Builder
	if err := d.WriteTable(&table); err != nil {
		t.Error(err)
	}
	if err := d.WritePrometheus(&metrics); err != nil {
		t.Error(err)
	}
	checkExposition(t, metrics.String())
	for name, text := range map[string]string{"page": page, "table": table.String()} {
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("the %s has what is no number", name)
		}
	}
}
