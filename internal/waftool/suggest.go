package waftool

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// A SuggestRequest asks for the narrowest exclusions for what was detected.
type SuggestRequest struct {
	// Files are access logs of a workload; "-" is Stdin.
	Files []string
	Stdin io.Reader
	// Attacks are logs in which every detection was right, such as of a replay.
	Attacks []string
	// Workload is whose they are.
	Workload authz.Workload
	// Name is that of the policy to write.
	Name string
	// MinHits and MinDays are how often a detection must have been seen.
	MinHits, MinDays int
	// Expires is the day on which the exclusions end.
	Expires time.Time
}

// Suggest prints a policy with the exclusions, each with its evidence. It applies
// nothing.
func Suggest(r SuggestRequest, out io.Writer) error {
	t := newTally()
	for _, name := range r.Attacks {
		if err := r.readLog(t, name, func(e *event) error { t.addAttack(e); return nil }); err != nil {
			return err
		}
	}
	for _, name := range r.Files {
		if err := r.readLog(t, name, t.add); err != nil {
			return err
		}
	}
	s := r.choose(t)
	text, err := r.document(s)
	if err != nil {
		return err
	}
	if len(s.chosen) > 0 {
		if err := r.valid(text); err != nil {
			return fmt.Errorf("the suggestion is not valid, which is a fault of this program: %w", err)
		}
	}
	_, err = io.WriteString(out, r.comments(t, s)+text)
	return err
}

func (r *SuggestRequest) readLog(t *tally, name string, take func(*event) error) error {
	in := r.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	damaged, err := readEvents(in, take)
	t.damaged += damaged
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// A suggestion is what was chosen, and why the rest was not.
type suggestion struct {
	chosen []group
	by     map[group]*evidence
	// left are the reasons, in the order of rejections.
	left map[string]int
}

// The reasons for which a detection gets no exclusion.
const (
	alsoAttack = "where known attacks, or callers without identity, were detected too"
	noPlace    = "in no single parameter, so an exclusion would take the rule out altogether"
	tooRare    = "seen too seldom"
)

func rejections() []string { return []string{alsoAttack, noPlace, tooRare} }

// choose leaves out what is not evidence enough.
func (r *SuggestRequest) choose(t *tally) suggestion {
	s := suggestion{by: t.groups, left: map[string]int{}}
	for _, g := range t.sorted() {
		e := t.groups[g]
		switch {
		case t.attacks[g.anyone()]:
			s.left[alsoAttack] += e.hits
		case g.parameter == "" || g.path == "":
			s.left[noPlace] += e.hits
		case e.hits < r.MinHits || len(e.days) < r.MinDays:
			s.left[tooRare] += e.hits
		default:
			s.chosen = append(s.chosen, g)
		}
	}
	return s
}

// document writes the policy: an entry for each caller, so that nobody else's requests
// are looked at less.
func (r *SuggestRequest) document(s suggestion) (string, error) {
	if len(s.chosen) == 0 {
		return "", nil
	}
	var spec config.InspectionSpec
	spec.Mode = config.DetectOnly
	if len(r.Workload.Labels) > 0 {
		spec.Selector = &authz.Selector{MatchLabels: r.Workload.Labels}
	}
	for _, g := range s.chosen {
		if n := len(spec.Callers); n == 0 || spec.Callers[n-1].Principals[0] != g.caller {
			spec.Callers = append(spec.Callers, config.CallerInspection{Principals: []string{g.caller}})
		}
		entry := &spec.Callers[len(spec.Callers)-1]
		entry.Exclusions = append(entry.Exclusions, g.exclusion(r.Expires))
	}
	doc := new(yaml.Node)
	if err := doc.Encode(struct {
		APIVersion string                `yaml:"apiVersion"`
		Kind       string                `yaml:"kind"`
		Metadata   map[string]string     `yaml:"metadata"`
		Spec       config.InspectionSpec `yaml:"spec"`
	}{config.APIVersion, config.KindInspectionPolicy, r.metadata(), spec}); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	explain(doc, s)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return b.String(), nil
}

func (r *SuggestRequest) metadata() map[string]string {
	m := map[string]string{"name": r.Name}
	if r.Workload.Namespace != "" {
		m["namespace"] = r.Workload.Namespace
	}
	return m
}

// explain puts the evidence above each exclusion.
func explain(doc *yaml.Node, s suggestion) {
	n := 0
	for _, entry := range strict.Child(strict.Child(doc, "spec"), "callers").Content {
		for _, x := range strict.Child(entry, "exclusions").Content {
			e := s.by[s.chosen[n]]
			n++
			x.Style = yaml.FlowStyle
			x.HeadComment = printable(fmt.Sprintf("# requests %d, days %d, from %s to %s, such as %s", e.hits, len(e.days),
				e.first.UTC().Format(time.DateOnly), e.last.UTC().Format(time.DateOnly), e.example))
		}
	}
}

// printable leaves nothing of foreign text that could end a line.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// comments say what was looked at and what was left out.
func (r *SuggestRequest) comments(t *tally, s suggestion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Requests in which something was detected: %d, of callers without identity: %d.\n", t.records, t.anonymous)
	if t.damaged > 0 {
		fmt.Fprintf(&b, "# Lines that are no records: %d.\n", t.damaged)
	}
	for _, why := range rejections() {
		if n := s.left[why]; n > 0 {
			fmt.Fprintf(&b, "# Detections left out, %s: %d.\n", why, n)
		}
	}
	if len(s.chosen) == 0 {
		b.WriteString("# Nothing is evidence for an exclusion, so there is no policy.\n")
	} else {
		b.WriteString("# Read it. Put the entries into the policy that is in force, and say why each rule is wrong.\n" +
			"# None of these places had a detection in what was given as attacks.\n")
	}
	return b.String()
}

// valid holds the text against the parser and the engine of a sidecar.
func (r *SuggestRequest) valid(text string) error {
	d, err := config.ParseDocuments([]config.File{{Name: r.Name + ".yaml", Data: []byte(text)}})
	if err != nil {
		return err
	}
	i, err := inspect.New(d.Inspection, inspect.Options{Workload: r.Workload})
	if err != nil {
		return err
	}
	i.Close()
	return nil
}
