package chart

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the chart's templates")

const (
	manifests = "../../manifests"
	chartDir  = manifests + "/helm/outrider"
)

// A substitution makes a template of a file of manifests/base: what the expression
// matches, as often as it is said, becomes the text.
type substitution struct {
	what  string
	times int
	to    string
}

// The chart's templates are the files of manifests/base with a few places in which
// values stand, so that a change there can't be forgotten here.
var substitutions = map[string][]substitution{
	"namespace.yaml": {
		{`(?s)^(.*)$`, 1, "{{- if .Values.createNamespace }}\n${1}{{- end }}\n"},
	},
	"deployment.yaml": {
		{`(?m)^  replicas: \d+$`, 1, "  replicas: {{ .Values.replicas }}"},
		{`(?m)^  minAvailable: \d+$`, 1, "  minAvailable: {{ .Values.minAvailable }}"},
		{`priorityClassName: \S+`, 1, "priorityClassName: {{ .Values.priorityClassName }}"},
		{`whenUnsatisfiable: \S+`, 1, "whenUnsatisfiable: {{ .Values.topologySpread }}"},
		{`image: outrider-injector\n`, 1, "image: {{ printf \"%s:%s\" .Values.image.repository .Values.image.tag | quote }}\n" +
			"        {{- with .Values.image.pullPolicy }}\n        imagePullPolicy: {{ . }}\n        {{- end }}\n"},
		{`--image=\S+`, 1, "--image={{ .Values.sidecar.image }}"},
		{`(?m)^        - --log-format=\S+\n`, 1, "        - --log-format={{ .Values.log.format }}\n" + `        {{- with .Values.log.level }}
        - --log-level={{ . }}
        {{- end }}
        {{- with .Values.sidecar.pullPolicy }}
        - --image-pull-policy={{ . }}
        {{- end }}
        {{- with .Values.trustDomain }}
        - --trust-domain={{ . }}
        {{- end }}
        {{- with .Values.identityProvider }}
        - --identity-provider={{ . }}
        {{- end }}
        {{- with .Values.capture }}
        - --capture={{ . }}
        {{- end }}
`},
		{`name: GOMEMLIMIT, value: "\d+"`, 1, "name: GOMEMLIMIT, value: {{ .Values.goMemoryLimit | quote }}"},
		{`(?m)^        resources:\n          requests: .*\n          limits: .*\n`, 1, "        resources: {{- toYaml .Values.resources | nindent 10 }}\n"},
		{`(?m)^      containers:\n`, 1, `      {{- with .Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if eq .Values.identityProvider "WorkloadAPI" }}
      volumes:
      - {name: workload-api, csi: {driver: csi.spiffe.io, readOnly: true}}
      {{- end }}
      containers:
`},
		{`(?m)^        startupProbe:\n`, 1, `        {{- if eq .Values.identityProvider "WorkloadAPI" }}
        volumeMounts:
        - {name: workload-api, mountPath: /spiffe-workload-api, readOnly: true}
        {{- end }}
        startupProbe:
`},
	},
}

// template makes one of a file of manifests/base.
func template(t *testing.T, name string, text []byte) []byte {
	t.Helper()
	out := string(text)
	if strings.Contains(out, "{{") {
		t.Errorf("%s has braces that Helm would read", name)
	}
	for _, s := range substitutions[name] {
		form := regexp.MustCompile(s.what)
		if n := len(form.FindAllString(out, -1)); n != s.times {
			t.Errorf("%s has %q %d times, want %d: the chart's value has lost its place", name, s.what, n, s.times)
			continue
		}
		out = form.ReplaceAllString(out, s.to)
	}
	return []byte(out)
}

// generated are the files of the chart that are made of others.
func generated(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	each(t, manifests+"/base", func(name string, text []byte) { files["templates/"+name] = template(t, name, text) })
	each(t, manifests+"/crds", func(name string, text []byte) { files["crds/"+name] = text })
	each(t, manifests+"/monitoring", func(name string, text []byte) { files["files/"+name] = text })
	if len(files) < 13 {
		t.Fatalf("only %d files", len(files))
	}
	return files
}

// each reads the files of a directory, but for kustomizations.
func each(t *testing.T, dir string, do func(name string, text []byte)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		do(e.Name(), text)
	}
}

func TestTheChartIsMadeOfTheBase(t *testing.T) {
	for name, want := range generated(t) {
		path := filepath.Join(chartDir, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what is made of the base (%v); run go -C test/chart test -update .", path, err)
		}
	}
}

// A file that nothing makes any more would go on being installed.
func TestTheChartHasNothingElse(t *testing.T) {
	want := generated(t)
	for _, name := range []string{"templates/monitoring.yaml", "templates/NOTES.txt"} {
		want[name] = nil
	}
	for _, dir := range []string{"templates", "crds", "files"} {
		each(t, filepath.Join(chartDir, dir), func(name string, _ []byte) {
			if _, ok := want[dir+"/"+name]; !ok {
				t.Errorf("%s/%s is made of nothing", dir, name)
			}
		})
	}
}
