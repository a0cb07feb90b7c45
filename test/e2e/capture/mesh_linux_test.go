package capture

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// The workloads of these tests.
const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
	intruder = "spiffe://example.org/ns/shop/sa/intruder"
)

// A workload is a pod with a sidecar.
type workload struct {
	*pod
	*testkit.Log // of its sidecar
	dir          string
	sidecar      *program
}

// A mesh is what most tests need: two workloads, and a pod that is in no mesh.
type mesh struct {
	*network
	ca                 *devca.CA
	checkout, payments *workload
	outsider           *pod
}

// options say in what a mesh differs from the usual one.
type options struct {
	// caller is who calls; checkout when empty.
	caller string
	// calling and called are added to "spec:" of the two sidecars.
	calling, called string
	// inbound is added to the captured listener of payments.
	inbound string
	// policies replace those of payments.
	policies string
	// quic: calls go over QUIC.
	quic bool
}

// usualPolicies let checkout call what payments serves, and payments call itself
// at one port. Port 8080 is one of HTTP by policy, and so is 6380.
const usualPolicies = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["` + checkout + `"]}]
    to: [{ports: [8080, 6380], methods: [GET]}]
  - from: [{principals: ["` + checkout + `"]}]
    to: [{ports: [3306, 5432, 6379, 8443, 7000, 9999, 53]}]
  - from: [{principals: ["` + payments + `"]}]
    to: [{ports: [7000]}]
`

// newMesh starts a mesh with capture on in both of its workloads.
func newMesh(t *testing.T, o options) *mesh {
	t.Helper()
	m := &mesh{network: newNetwork(t), ca: newCA(t)}
	checkoutPod, paymentsPod := m.add(t, "checkout"), m.add(t, "payments")
	m.outsider = m.add(t, "outsider")
	if o.caller == "" {
		o.caller = checkout
	}
	if o.policies == "" {
		o.policies = usualPolicies
	}
	both := func(name string, ports ...int) string {
		var list []string
		for _, port := range ports {
			list = append(list, fmt.Sprintf("%q, %q", fmt.Sprintf("%s:%d", paymentsPod.ip, port), fmt.Sprintf("[%s]:%d", paymentsPod.v6, port)))
		}
		way := ""
		if o.quic {
			way = `, quic: "On"`
		}
		return "  - {name: " + name + ", addresses: [" + strings.Join(list, ", ") + "], spiffeIDs: [\"" + payments + "\"]" + way
	}
	if o.quic {
		o.called += "  quic: {}\n"
	}
	destinations := "  destinations:\n" + both("web", 8080) + `, match: ["10.96.0.7:80"]}` + "\n" +
		both("other", 3306, 5432, 6379, 6380, 7000, 8443, 9999, 15000, 15020) + "}\n"
	m.payments = m.inject(t, paymentsPod, payments, "  inbound: [{name: in, capture: true"+o.inbound+"}]\n"+
		"  outbound: [{name: out, capture: true}]\n"+destinations+o.called, o.policies)
	m.checkout = m.inject(t, checkoutPod, o.caller, "  inbound: [{name: in, capture: true}]\n"+
		"  outbound: [{name: out, capture: true}]\n"+destinations+o.calling, "")
	return m
}

func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString("example.org"), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// inject gives a pod what an injector would: an identity, a configuration, the
// redirection, proved, and then the sidecar.
func (m *mesh) inject(t *testing.T, p *pod, id, spec, policies string) *workload {
	t.Helper()
	w := m.configure(t, p, id, spec, policies)
	if out, status := w.capture(t); status != 0 {
		t.Fatalf("outrider capture in %s: %d\n%s", p.name, status, out)
	}
	w.run(t)
	return w
}

// configure writes the files of a workload.
func (m *mesh) configure(t *testing.T, p *pod, id, spec, policies string) *workload {
	t.Helper()
	w := &workload{pod: p, Log: new(testkit.Log)}
	dir, err := os.MkdirTemp(filepath.Dir(file(t, "outrider")), p.name+"-") //nolint:usetesting // other users can't enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	svid, err := m.ca.Issue(spiffeid.RequireFromString(id), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := svid.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var roots bytes.Buffer
	for _, c := range m.ca.Bundle().X509Authorities() {
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	document := "apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\n" +
		"metadata: {name: " + p.name + ", namespace: shop, labels: {app: " + p.name + "}}\nspec:\n" +
		"  identity: {files: {svid: svid.pem, key: key.pem, bundles: {example.org: roots.pem}}}\n" +
		spec
	if !strings.Contains(spec, "  policies:") {
		document += "  policies: {directory: policies}\n"
	}
	for _, sub := range []string{".", "policies"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, sub), 0o755), os.Chmod(filepath.Join(dir, sub), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string][]byte{
		"svid.pem": chain, "key.pem": key, "roots.pem": roots.Bytes(),
		"sidecar.yaml": []byte(document), "policies/policies.yaml": []byte(policies),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "key.pem"), 0o400), os.Chown(filepath.Join(dir, "key.pem"), sidecarUser, sidecarUser)); err != nil {
		t.Fatal(err)
	}
	return w
}

// netAdmin runs what follows as root with one capability and no other, as the
// container that installs the redirection is.
var netAdmin = []string{"setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all", "--no-new-privs"}

// capture runs "outrider capture" with the workload's file.
func (w *workload) capture(t *testing.T, flags ...string) (string, int) {
	t.Helper()
	argv := append(append([]string{}, netAdmin...), file(t, "outrider"), "capture", "--config", filepath.Join(w.dir, "sidecar.yaml"))
	return w.pod.run(t, root, append(argv, flags...)...)
}

// edit changes the sidecar's file, as an editor does.
func (w *workload) edit(t *testing.T, old, now string) {
	t.Helper()
	name := filepath.Join(w.dir, "sidecar.yaml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%q is not in the file", old)
	}
	next := filepath.Join(w.dir, "next")
	if err := errors.Join(
		os.WriteFile(next, []byte(strings.Replace(string(text), old, now, 1)), 0o444), os.Rename(next, name),
	); err != nil {
		t.Fatal(err)
	}
}

// run starts the sidecar.
func (w *workload) run(t *testing.T) {
	t.Helper()
	w.sidecar = w.start(t, sidecarUser, w.Log, file(t, "outrider"), "run", "--config", filepath.Join(w.dir, "sidecar.yaml"))
	testkit.Eventually(t, "the sidecar of "+w.name+" is ready", func() bool {
		if w.sidecar.cmd.ProcessState != nil {
			t.Fatalf("it ended: %s", w.sidecar)
		}
		return strings.Contains(w.sidecar.String(), "msg=ready")
	})
}

// curl calls as the application does.
func (w *workload) curl(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return curl(t, w.pod, application, args...)
}

func curl(t *testing.T, p *pod, user int, args ...string) (string, int) {
	t.Helper()
	return p.run(t, user, append([]string{"curl", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--max-time", "20"}, args...)...)
}

// at is the URL of a port, over IPv4.
func (p *pod) at(port int) string { return fmt.Sprintf("http://%s:%d/", p.ip, port) }

// record waits for the access log's record of a call to an original destination.
func (w *workload) record(t *testing.T, direction, original string) map[string]any {
	t.Helper()
	return w.Await(t, direction+" to "+original, func(r map[string]any) bool {
		return r["direction"] == direction && member(r, "destination", "original") == original
	})
}

func member(r map[string]any, name, inner string) any {
	o, _ := r[name].(map[string]any)
	return o[inner]
}

// refused tells whether a connection was refused. How two programs that have said
// all they had to say take leave of each other is not our affair.
func refused(r map[string]any) bool {
	switch r["reason"] {
	case nil, "client_closed", "upstream_closed":
		return false
	}
	return true
}
