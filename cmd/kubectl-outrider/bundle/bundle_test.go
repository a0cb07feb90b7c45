package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kubetest"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
)

// The planted secrets are parts of these; each stands for one kind of thing that must
// not leave. "Planted" in a name makes the test's own words distinct from any other.
const (
	jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJQbGFudGVkSldUIn0.UGxhbnRlZFNpZw"
	key = "-----BEGIN PRIVATE KEY-----\nPlantedKeyMIIEvQIBADANBgkq\nhkiG9w0BAQ==\n-----END PRIVATE KEY-----\n"
)

// cluster has secrets wherever somebody might have put one.
const cluster = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {outrider.dev/inject: enabled}, annotations: {note: PlantedAnnotation, outrider.dev/image: "https://user:PlantedInUrl@x", outrider.dev/log-level: debug}}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {password: PlantedSecretObject}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web}
  annotations:
    outrider.dev/status: '{"image":"outrider:1","probes":{"web":{"httpGet":{"httpHeaders":[{"name":"Authorization","value":"PlantedProbeHeader"}]}}}}'
    kubectl.kubernetes.io/last-applied-configuration: '{"env":"PlantedLastApplied"}'
spec:
  serviceAccountName: web
  initContainers:
  - {name: outrider, image: "outrider:1", restartPolicy: Always, env: [{name: OUTRIDER_CONFIG, value: PlantedConfigEnv}]}
  containers:
  - name: web
    image: web:1
    command: [web, --key=PlantedCommand]
    args: [PlantedArgument]
    env: [{name: DB, value: PlantedEnv}]
    livenessProbe: {httpGet: {path: /, port: 80, httpHeaders: [{name: Cookie, value: PlantedLiveness}]}}
  volumes: [{name: v, csi: {driver: d, volumeAttributes: {k: PlantedVolume}}}]
status:
  phase: Running
  containerStatuses: [{name: web, ready: true, lastState: {terminated: {message: "password=PlantedTermination", exitCode: 1}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {dns: PlantedServiceAnnotation}}
spec: {selector: {app: web}, ports: [{port: 80, name: http}]}
---
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: tenants, namespace: shop, annotations: {x: PlantedPolicyAnnotation}}
spec: {action: Allow, rules: [{when: [{header: x-api-key, values: [PlantedHeaderValue], notValues: [PlantedNotValue]}]}]}
`

// pods are what the pod's ports and logs say.
var pods = map[string]string{
	"15020/metrics":     "outrider_ready 1\n# Bearer PlantedBearerInMetrics\n",
	"15000/ready":       "ready\n",
	"15000/version":     `{"version":"v0.3.1"}`,
	"15000/config_dump": `{"sidecar":{"identity":{"meshCA":{"token":"/var/run/secrets/outrider/token"}}},"policies":{"documents":{"Access":[{"Spec":{"Rules":[{"When":[{"Header":"x-tenant","Values":["PlantedDumpValue"]}]}]}}]}},"x":{"password":"PlantedDumpPassword"}}`,
	"15000/connections": `[{"remote":"10.0.0.1:1","note":"` + jwt + `"}]`,
	"15000/decisions":   `[{"path":"/a","query":"token=PlantedQuery","reason":"access_denied"}]`,
	"outrider.log": `{"kind":"request","path":"/kept","query":"q=PlantedLogQuery","msg":"authorization: PlantedLogAuthorization"}
plain text with ` + jwt + ` and https://user:PlantedUrlPassword@host/ and api_key=PlantedApiKey
` + key + `{"msg":"` + strings.ReplaceAll(key, "\n", `\n`) + `"}
kept too
`,
}

// build makes an archive of the cluster, and returns its files.
func build(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"cluster.yaml": cluster}
	for name, text := range pods {
		files["pods/shop/web/"+name] = text
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := kubetest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	config := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(config, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.New(kube.Options{Kubeconfig: config})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := survey.Read(t.Context(), client, survey.Options{MostAsked: 9, System: "outrider-system"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	names, err := Write(t.Context(), s, client, &b)
	if err != nil {
		t.Fatal(err)
	}
	got := unpack(t, &b)
	if len(got) != len(names) {
		t.Errorf("%d files, and %d names", len(got), len(names))
	}
	return got
}

func unpack(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		files[strings.TrimPrefix(h.Name, "outrider-bugreport/")] = string(text)
	}
}

func TestNoSecretLeaves(t *testing.T) {
	planted := strings.Count(cluster, "Planted")
	for _, text := range pods {
		planted += strings.Count(text, "Planted")
	}
	if planted < 20 {
		t.Fatalf("only %d secrets are planted", planted)
	}
	for name, text := range build(t) {
		for _, what := range []string{"Planted", "PRIVATE KEY", "eyJ", "UGxhbnRlZFNpZw", "hkiG9w0BAQ", "token-of-a-person"} {
			if i := strings.Index(text, what); i >= 0 {
				t.Errorf("%s has %q: %.80q", name, what, text[max(0, i-30):])
			}
		}
	}
}

// An archive without content would hold no secret either.
func TestWhatHelpsIsThere(t *testing.T) {
	files := build(t)
	for name, want := range map[string]string{
		"README.txt": "read it before you send it", "version.json": `"kubernetes": "v1.36.1"`, "findings.json": "OUT204",
		"cluster/namespaces.json": `"outrider.dev/log-level": "debug"`, "cluster/pods.json": `"image": "web:1"`, "cluster/services.json": `"name": "http"`,
		"policies/AccessPolicy/shop/tenants.json": `"header": "x-api-key"`,
		"sidecars/shop/web/metrics":               "outrider_ready 1", "sidecars/shop/web/ready": "ready", "sidecars/shop/web/version.json": "v0.3.1",
		"sidecars/shop/web/config_dump.json": `"Header": "x-tenant"`, "sidecars/shop/web/connections.json": "10.0.0.1:1",
		"sidecars/shop/web/decisions.json": "access_denied", "logs/shop/web.log": "kept too", "left-out.txt": "",
	} {
		if text, ok := files[name]; !ok || !strings.Contains(text, want) {
			t.Errorf("%s (there: %v) does not have %q:\n%s", name, ok, want, text)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(files[name])) {
			t.Errorf("%s is no JSON:\n%s", name, files[name])
		}
	}
	if len(files) != 15 {
		t.Errorf("%d files", len(files))
	}
}

func TestWhatCantBeReadIsNoted(t *testing.T) {
	if _, err := tree([]byte("no JSON")); err == nil {
		t.Error("what is no JSON is taken")
	}
	var b bytes.Buffer
	s := &survey.Survey{System: "outrider-system", Unread: []survey.Unread{{What: "pods", Err: errors.New("forbidden")}}}
	if _, err := Write(t.Context(), s, nil, &b); err != nil {
		t.Fatal(err)
	}
	if text := unpack(t, &b)["left-out.txt"]; !strings.Contains(text, "pods: forbidden") {
		t.Errorf("left out: %q", text)
	}
}

// FuzzScrub: wherever a secret stands, none of it is left, and what is clean stays.
func FuzzScrub(f *testing.F) {
	f.Add("log: ", " end")
	f.Add(`{"a":"`, `"}`)
	f.Add("token=", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, secret := range []string{jwt, key, "Bearer UGxhbnRlZFNpZw", "\npassword: UGxhbnRlZFNpZw"} {
			// Letters in front would make another word of it.
			got := string(scrub([]byte(before + " " + secret + " " + after)))
			for _, part := range []string{"UGxhbnRlZFNpZw", "PlantedKey", "hkiG9w0BAQ", "eyJzdWIi"} {
				if strings.Contains(got, part) && !strings.Contains(before+after, part) {
					t.Errorf("%q is left of %q in %q", part, secret, got)
				}
			}
			if again := string(scrub([]byte(got))); again != got {
				t.Errorf("%q becomes %q when it is cleaned again", got, again)
			}
		}
	})
}
