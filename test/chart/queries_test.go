package chart

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// A metric is one that the documentation has.
type metric struct{ labels map[string]bool }

// metrics reads the tables of the pages that list them.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	row := regexp.MustCompile("(?m)^\\| `(outrider_[a-z_]+)` \\| (counter|gauge|histogram) \\|([^|\n]*)\\|(.*)$")
	for _, page := range []string{"metrics.md", "kubernetes.md", "identity.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range row.FindAllStringSubmatch(string(text), -1) {
			m := metric{map[string]bool{}}
			// A table without a column of labels names them in the meaning.
			for _, label := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(found[3]+found[4], -1) {
				m.labels[label[1]] = true
			}
			names := []string{found[1]}
			if found[2] == "histogram" {
				names = []string{found[1] + "_bucket", found[1] + "_sum", found[1] + "_count"}
				m.labels["le"] = true
			}
			for _, name := range names {
				all[name] = m
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d metrics are documented", len(all))
	}
	// Those of every Go program that tells about itself.
	for _, name := range []string{"process_resident_memory_bytes", "process_cpu_seconds_total"} {
		all[name] = metric{map[string]bool{}}
	}
	return all
}

// target are the labels that whoever collects adds.
var target = map[string]bool{"namespace": true, "pod": true, "container": true, "job": true, "instance": true, labels.MetricName: true}

// check parses a query and compares what it asks for with what there is.
func check(t *testing.T, where, query string, known map[string]metric) {
	t.Helper()
	// What Grafana puts in place of its variables.
	query = strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$pod", ".*").Replace(query)
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	asked := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, there := known[s.Name]
		if !there {
			t.Errorf("%s asks for %q, which is not documented", where, s.Name)
			return nil
		}
		for label := range m.labels {
			asked[label] = true
		}
		for _, matcher := range s.LabelMatchers {
			if !target[matcher.Name] && !m.labels[matcher.Name] {
				t.Errorf("%s: %s has no label %q", where, s.Name, matcher.Name)
			}
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok && !a.Without {
			for _, label := range a.Grouping {
				if !target[label] && !asked[label] {
					t.Errorf("%s groups by %q, which no metric of it has", where, label)
				}
			}
		}
		return nil
	})
}

type rules struct {
	Spec struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

func TestAlertsAskForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(manifests + "/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		rules
		APIVersion, Kind string
		Metadata         map[string]any
	}
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		t.Fatal(err)
	}
	known, names := metrics(t), map[string]bool{}
	for _, g := range all.Spec.Groups {
		for _, r := range g.Rules {
			if names[r.Alert] || !strings.HasPrefix(r.Alert, "Outrider") {
				t.Errorf("the alert %q is there twice, or does not say whose it is", r.Alert)
			}
			names[r.Alert] = true
			check(t, r.Alert, r.Expr, known)
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s has the severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || len(r.Annotations) != 2 {
				t.Errorf("%s does not say what is so and what to do: %v", r.Alert, r.Annotations)
			}
			summarised(t, r.Alert, r.Annotations["summary"], r.Expr)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d alerts", len(names))
	}
}

// summarised complains of labels in a text that the result of a query loses.
func summarised(t *testing.T, alert, summary, query string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return // said already
	}
	kept := map[string]bool{}
	aggregated := false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			aggregated = true
			for _, label := range a.Grouping {
				kept[label] = true
			}
		}
		return nil
	})
	for _, found := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(summary, -1) {
		if aggregated && !kept[found[1]] {
			t.Errorf("%s speaks of %q, which its query does not keep", alert, found[1])
		}
	}
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(manifests + "/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	known, panels, queries, seen := metrics(t), 0, 0, map[string]bool{}
	for i, p := range d.Panels {
		if p.ID != i+1 || p.Title == "" || seen[p.Title] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d: %+v", i, p)
		}
		seen[p.Title] = true
		if p.Type == "row" {
			continue
		}
		panels++
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%s does not say what it shows, or shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			queries++
			check(t, p.Title, q.Expr, known)
		}
	}
	if panels < 25 || queries < 30 {
		t.Errorf("%d panels with %d queries", panels, queries)
	}
}

// Every metric is shown or alarmed on, but for those that are only looked up.
func TestMetricsAreShown(t *testing.T) {
	shown := ""
	for _, name := range []string{"/monitoring/rules.yaml", "/monitoring/dashboard.json"} {
		text, err := os.ReadFile(manifests + name)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(text)
	}
	lookedUp := map[string]bool{
		"outrider_build_info": true, "outrider_connections_closed_total": true, "outrider_identity_generation": true, "outrider_policy_last_success_timestamp_seconds": true,
		"outrider_quic_fallbacks_total": true, "outrider_rate_limit_folded_total": true, "outrider_injector_events_dropped_total": true,
		"outrider_injector_bundle_waiters": true, "outrider_injector_ca_federated_domains": true, "outrider_injector_issue_duration_seconds_bucket": true,
	}
	for name := range metrics(t) {
		if strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") || lookedUp[name] || strings.HasPrefix(name, "outrider_injector_") {
			continue
		}
		if !strings.Contains(shown, name) {
			t.Errorf("%s is neither shown nor alarmed on", name)
		}
	}
}

// What Prometheus' operator is told to collect is what pods have.
func TestPodMonitorsFindThePorts(t *testing.T) {
	text, err := os.ReadFile(manifests + "/monitoring/podmonitors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	all.add(t, string(text))
	if len(all) != 2 {
		t.Errorf("%d objects", len(all))
	}
	for port, of := range map[string]string{
		"outrider-prom": "../../injector/mutate/containers.go", "metrics": manifests + "/base/deployment.yaml",
	} {
		source, err := os.ReadFile(of)
		if err != nil || !strings.Contains(string(text), "port: "+port+"\n") || !regexp.MustCompile(`[nN]ame: "?`+port+`"?,`).Match(source) {
			t.Errorf("the port %s is not asked for, or not in %s (%v)", port, of, err)
		}
	}
}
