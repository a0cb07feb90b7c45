package chart

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects are by kind, namespace and name.
type objects map[string]map[string]any

func (all objects) add(t *testing.T, text string) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if len(o) == 0 {
			continue
		}
		meta, _ := o["metadata"].(map[string]any)
		name := fmt.Sprint(o["kind"], " ", meta["namespace"], "/", meta["name"])
		if all[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		all[name] = o
	}
}

// kustomized is what kubectl apply -k applies.
func kustomized(t *testing.T, dir string) objects {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), manifests+"/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	all.add(t, string(text))
	return all
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render does what helm install does, the check of the values included.
func render(t *testing.T, values string) (objects, error) {
	t.Helper()
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	c := load(t)
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: "outrider", Namespace: "default"}, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	out := objects{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, "NOTES.txt") {
			out.add(t, files[name])
		}
	}
	for _, crd := range c.CRDObjects() {
		out.add(t, string(crd.File.Data))
	}
	return out, nil
}

func TestTheChartIsTheKustomization(t *testing.T) {
	for dir, values := range map[string]string{
		"base":                "",
		"overlays/ha":         "{replicas: 3, minAvailable: 2, topologySpread: DoNotSchedule}",
		"overlays/spire":      "{identityProvider: WorkloadAPI}",
		"overlays/no-capture": "{capture: none}",
	} {
		t.Run(dir, func(t *testing.T) {
			want := kustomized(t, dir)
			got, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) < 14 {
				t.Errorf("only %d objects", len(want))
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if !reflect.DeepEqual(got[name], want[name]) {
					t.Errorf("%s by Helm\n%s\nby kustomize\n%s", name, text(t, got[name]), text(t, want[name]))
				}
			}
			for name := range got {
				if want[name] == nil {
					t.Errorf("%s is by Helm only", name)
				}
			}
		})
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	out, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// every value, set to something else than its default.
const every = `
image: {repository: registry.example/outrider-injector, tag: v1, pullPolicy: Always}
sidecar: {image: "registry.example/outrider:v1", pullPolicy: Always}
log: {format: text, level: debug}
replicas: 5
minAvailable: 4
topologySpread: DoNotSchedule
priorityClassName: high
trustDomain: example.org
identityProvider: WorkloadAPI
capture: cni
goMemoryLimit: "1000000000"
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi}}
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists}]
imagePullSecrets: [{name: pull}]
createNamespace: false
monitoring: {podMonitors: true, rules: true, dashboard: true, labels: {release: prometheus}}
`

// A value that changes nothing is one that somebody relies on in vain.
func TestEveryValueHasItsEffect(t *testing.T) {
	got, err := render(t, every)
	if err != nil {
		t.Fatal(err)
	}
	all := text(t, got)
	for _, want := range []string{
		"registry.example/outrider-injector:v1", "imagePullPolicy: Always", "--image=registry.example/outrider:v1", "--image-pull-policy=Always",
		"--log-format=text", "--log-level=debug", "replicas: 5", "minAvailable: 4", "whenUnsatisfiable: DoNotSchedule", "priorityClassName: high",
		"--trust-domain=example.org", "--identity-provider=WorkloadAPI", "driver: csi.spiffe.io", "--capture=cni", `value: "1000000000"`,
		"memory: 2Gi", "disk: ssd", "operator: Exists", "name: pull", "kind: PodMonitor", "kind: PrometheusRule", "grafana_dashboard", "release: prometheus",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if got["Namespace <nil>/outrider-system"] != nil {
		t.Error("the namespace is there though it was not asked for")
	}
	defaults := load(t).Values
	given, err := chartutil.ReadValues([]byte(every))
	if err != nil {
		t.Fatal(err)
	}
	if n := same(t, "", defaults, given); n < 20 {
		t.Errorf("compared only %d values", n)
	}
}

// same complains of values that the test leaves as they are, or does not name.
func same(t *testing.T, at string, defaults, given map[string]any) (compared int) {
	t.Helper()
	for key, value := range defaults {
		inner, isMap := value.(map[string]any)
		other, alsoMap := given[key].(map[string]any)
		if isMap && alsoMap && len(inner) > 0 {
			compared += same(t, at+key+".", inner, other)
			continue
		}
		compared++
		if _, named := given[key]; !named || reflect.DeepEqual(value, given[key]) {
			t.Errorf("the value %s%s is not tried", at, key)
		}
	}
	return compared
}

func TestTheSchemaRefusesWhatItDoesNotKnow(t *testing.T) {
	refused := []string{
		"{replica: 3}", "{image: {repo: a}}", "{sidecar: {tag: a}}", "{log: {lvl: a}}", "{monitoring: {podMonitor: true}}", "{resources: {request: {}}}",
		"{replicas: 0}", "{replicas: two}", "{capture: maybe}", "{identityProvider: Vault}", "{topologySpread: Never}", "{log: {format: xml}}",
		"{image: {tag: ''}}", "{sidecar: {image: ''}}", "{trustDomain: UPPER}", "{goMemoryLimit: 5}", "{tolerations: {}}", "{createNamespace: 'yes'}",
	}
	for _, values := range refused {
		if _, err := render(t, values); err == nil {
			t.Errorf("%s is accepted", values)
		}
	}
	if len(refused) < 18 {
		t.Errorf("only %d values", len(refused))
	}
}
