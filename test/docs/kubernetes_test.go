package docs

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const shop = "examples/shop"

// named are the objects of a kind in the manifests that the README applies.
func named(t *testing.T, kind string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	form := regexp.MustCompile(`(?m)^kind: ` + kind + `\nmetadata:(?: \{|\n  )name: ([a-z-]+)`)
	for _, dir := range []string{shop, "manifests/base"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range form.FindAllSubmatch(text, -1) {
				all[string(found[1])] = true
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return all
}

// kubectlCommand checks what a command for a cluster speaks of: there is no cluster
// here. What it does there is tested by the sessions of the plugin, by the shop below,
// and on a real node.
func kubectlCommand(t *testing.T, line string) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "kubectl apply -k "):
		exists(t, line, strings.TrimPrefix(line, "kubectl apply -k ")+"/kustomization.yaml")
	case strings.HasPrefix(line, "kubectl apply -f "):
		exists(t, line, strings.TrimPrefix(line, "kubectl apply -f "))
	case strings.Contains(line, " rollout status deployment/"):
		_, name, _ := strings.Cut(line, "deployment/")
		if !named(t, "Deployment")[name] {
			t.Errorf("%s: there is no such Deployment", line)
		}
	case line == "kubectl -n shop wait --for=condition=Available deployment --all":
	case strings.HasPrefix(line, "kubectl -n shop exec deploy/"):
		words := regexp.MustCompile(`^kubectl -n shop exec deploy/([a-z]+)(?: -c shop)? -- /shop (get|post) "?http://([a-z]+)(/[^"]*)"?$`).FindStringSubmatch(line)
		if words == nil || !named(t, "Deployment")[words[1]] || !named(t, "Service")[words[3]] {
			t.Errorf("%s: no Deployment, no Service, or another form than this test knows", line)
		}
	default:
		t.Errorf("%q: no test knows what that is", line)
	}
}

func exists(t *testing.T, line, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// pluginCommand runs the plugin without a cluster: it must come as far as to look for
// one.
func pluginCommand(t *testing.T, binary string, words []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append(words[1:], "--kubeconfig", filepath.Join(t.TempDir(), "none"))...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "read the kubeconfig") {
		t.Errorf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

func TestTheDocumentsOfTheShopAreAccepted(t *testing.T) {
	for _, name := range []string{"policies.yaml", "storefront-may-charge.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, shop, name))
		if err != nil {
			t.Fatal(err)
		}
		d, err := config.ParseDocuments([]config.File{{Name: name, Data: text}})
		if err != nil || len(d.Warnings) > 0 || len(d.Access) == 0 {
			t.Errorf("%s: %v, %v", name, err, d)
		}
	}
}

// A shopFront is payments of the example, behind a sidecar with the policies of the
// example.
type shopFront struct {
	ca *devca.CA
	at string
	t  *testing.T
}

func (s *shopFront) start(policies ...string) {
	s.t.Helper()
	app := freeAddress(s.t)
	serveShop(s.t, app)
	_, port, err := net.SplitHostPort(app)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, name := range policies {
		text, err := os.ReadFile(filepath.Join(root, shop, name))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, strings.ReplaceAll(string(text), "8080", port)) // the port is this machine's
	}
	sidecar := testkit.Start(s.t, testkit.Options{
		YAML: "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app + "\"}]\n  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
		Name: "payments", Labels: map[string]string{"app": "payments"}, Source: source(s.t, s.ca, "spiffe://cluster.local/ns/shop/sa/payments"), Policies: strings.Join(all, "---\n"),
	})
	s.at = sidecar.Address(s.t, "in")
}

// serveShop runs the program of the example until the test ends.
func serveShop(t *testing.T, at string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "shop")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./"+shop)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary, "serve", "payments")
	cmd.Env = append(os.Environ(), "LISTEN="+at)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was killed
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if conn, err := net.Dial("tcp", at); err == nil {
			conn.Close()
			return
		}
		<-tick.C
	}
	t.Fatal("the shop does not listen")
}

// call is what the shop's own client prints, by an identity.
func (s *shopFront) call(who, method, path string) (status, decision, proxyStatus, body string) {
	s.t.Helper()
	cfg := mtls.ClientConfig(source(s.t, s.ca, "spiffe://cluster.local/ns/shop/sa/"+who), mtls.ClientOptions{
		Expected: expected(s.t, "spiffe://cluster.local/ns/shop/sa/payments"), NextProtos: []string{"http/1.1"},
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.at+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.Status, answer.Header.Get("X-Outrider-Decision"), answer.Header.Get("Proxy-Status"), string(text)
}

// refuses compares what the client of the shop prints of a refused call with a page, in
// which the decision has an id of its own.
func (s *shopFront) refuses(page, reason, example, who, method, path string) {
	s.t.Helper()
	status, id, proxyStatus, body := s.call(who, method, path)
	want := status + "\nProxy-Status: " + proxyStatus + "\nX-Outrider-Decision: " + example + "\n" + strings.ReplaceAll(body, id, example)
	if status != "403 Forbidden" || len(id) != 20 || !strings.Contains(proxyStatus, reason) || !strings.Contains(page, want) {
		s.t.Errorf("refused: %q, which the README does not say", want)
	}
}

// What the README prints of the shop is what it answers.
func TestTheShopAnswersAsTheReadmeSays(t *testing.T) {
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString("cluster.local"), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shopFront{ca: ca, t: t}
	s.start("policies.yaml")

	status, _, _, body := s.call("checkout", http.MethodPost, "/v1/charges")
	if want := status + "\n" + body; status != "201 Created" || !strings.Contains(string(text), want) {
		t.Errorf("allowed: %q, which the README does not say", want)
	}
	s.refuses(string(text), "access_denied", "d0k3f4uq2c5s73a00018", "storefront", http.MethodPost, "/v1/charges")
	attack := regexp.MustCompile(`/shop get "http://payments(/[^"]+)"`).FindSubmatch(text)
	if attack == nil {
		t.Fatal("the README has no attack")
	}
	s.refuses(string(text), "waf_blocked", "d0k3f4uq2c5s73a00019", "checkout", http.MethodGet, string(attack[1]))
	if status, _, _, _ := s.call("checkout", http.MethodGet, "/v1/charges"); status != "200 OK" {
		t.Errorf("without the attack: %s", status)
	}

	s.start("policies.yaml", "storefront-may-charge.yaml")
	if status, _, _, _ := s.call("storefront", http.MethodPost, "/v1/charges"); status != "201 Created" {
		t.Errorf("with the change: %s", status)
	}
	if status, _, _, _ := s.call("storefront", http.MethodGet, "/v1/charges"); status != "403 Forbidden" {
		t.Errorf("the change opens more than it says: %s", status)
	}
}
