package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/plane"
)

// paymentsPod is the workload payments as the control plane knows it.
func paymentsPod() plane.Key { return plane.Key{Namespace: "shop", Name: "payments"} }

// A town is payments with a sidecar that a control plane tells what to do, and whoever
// calls it.
type town struct {
	*plane.Plane

	t        *testing.T
	ca       *identitytest.CA
	id, own  *identitytest.StaticSource // of the control plane, and of payments
	caller   *identitytest.StaticSource
	cache    string
	payments *testkit.Sidecar
	checkout *testkit.Sidecar
}

// newTown has a control plane that lets checkout call payments. It listens, and payments
// has not started yet.
func newTown(t *testing.T) *town {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	w := &town{t: t, ca: ca, id: ca.Source(t, plane.ID), own: ca.Source(t, payments), caller: ca.Source(t, checkout), cache: t.TempDir()}
	w.Plane = plane.New(t, w.id)
	w.Start()
	w.Know(paymentsPod(), payments, map[string]string{"app": "payments"})
	w.Write(paymentsPod(), allow, letIn(checkout))
	return w
}

const allow = "AccessPolicy/shop/allow-callers"

func letIn(who string) string {
	return access("Allow", fmt.Sprintf("{from: [{principals: [%q]}]}", who))
}

// begin starts the sidecar of payments, with spec added to its file.
func (w *town) begin(spec string, bend ...func(*testkit.Options)) {
	w.t.Helper()
	o := testkit.Options{
		Name: "payments", Source: w.own,
		YAML: fmt.Sprintf("  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: %q}]\n", serveApp(w.t, hello)) +
			fmt.Sprintf("  policies: {controlPlane: {address: %q, spiffeID: %q, cache: %q}}\n", w.Addr(), plane.ID, w.cache) + spec + ports,
	}
	for _, b := range bend {
		b(&o)
	}
	w.payments = testkit.Start(w.t, o)
}

// open starts whoever calls.
func (w *town) open() {
	w.t.Helper()
	w.checkout = side{source: w.caller, to: []string{w.payments.Address(w.t, "in")}}.start(w.t)
}

// call is the status of a call.
func (w *town) call() int {
	w.t.Helper()
	res, err := http.Get("http://" + w.checkout.Address(w.t, "out") + "/")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// becomes waits until a call has that status.
func (w *town) becomes(status int) {
	w.t.Helper()
	testkit.Eventually(w.t, fmt.Sprintf("a call is answered with %d", status), func() bool { return w.call() == status })
}

// page is one of the administration port or of the metrics port.
func page(t testing.TB, addr, path string) string {
	t.Helper()
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shows waits until a page of the sidecar of payments has that text.
func (w *town) shows(what string, has ...string) {
	w.t.Helper()
	read := map[string]func() string{
		"metrics":      func() string { return page(w.t, w.payments.MetricsAddress(), "/metrics") },
		"/config_dump": func() string { return page(w.t, w.payments.AdminAddress(), "/config_dump") },
		"/ready":       func() string { return page(w.t, w.payments.AdminAddress(), "/ready") },
	}[what]
	var last string
	testkit.Eventually(w.t, fmt.Sprintf("%s shows %q", what, has), func() bool {
		last = read()
		for _, text := range has {
			if !strings.Contains(last, text) {
				return false
			}
		}
		return true
	})
}

func TestAPolicyOfTheControlPlaneTakesEffect(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.open()
	w.becomes(200)
	w.Write(paymentsPod(), allow, letIn(intruder))
	w.becomes(403)
	w.Write(paymentsPod(), allow, letIn(checkout))
	w.becomes(200)
	w.Write(paymentsPod(), allow, "")
	w.becomes(403)
	w.Write(paymentsPod(), "MeshConfig//mesh", allowMesh)
	w.becomes(200)
	w.shows("metrics", "outrider_control_plane_connected 1", "outrider_policy_cached 0")
	w.shows("/config_dump", `"connected": true`, `"MeshConfig//mesh"`)
}

func TestASetThatIsRefusedLeavesTheOneBefore(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.open()
	w.becomes(200)
	// Half of it is fine, and would shut everybody out.
	w.Write(paymentsPod(), "AccessPolicy/shop/broken", strings.Replace(access("Deny", "{}"), "action: Deny", "action: Maybe", 1))
	w.Write(paymentsPod(), allow, letIn(intruder))
	testkit.Eventually(t, "the control plane knows that it was refused", func() bool {
		r, ok := w.Report(paymentsPod())
		return ok && strings.Contains(r.Refused, `"Maybe"`)
	})
	if got := w.call(); got != 200 {
		t.Errorf("status %d", got)
	}
	w.shows("/config_dump", `"problem"`)
	w.Write(paymentsPod(), "AccessPolicy/shop/broken", "")
	w.becomes(403)
	testkit.Eventually(t, "the control plane knows that it was not refused", func() bool {
		r, ok := w.Report(paymentsPod())
		return ok && r.Refused == ""
	})
}

func TestALabelThatChangesSelectsOtherPolicies(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.open()
	w.becomes(200)
	w.Know(paymentsPod(), payments, map[string]string{"app": "ledger"}) // whom the policy does not select
	w.becomes(403)
	w.shows("/config_dump", `"app": "ledger"`)
	w.Know(paymentsPod(), payments, map[string]string{"app": "payments"})
	w.becomes(200)
}

func TestAControlPlaneThatIsAwayIsNothing(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.open()
	w.becomes(200)
	w.Stop()
	w.shows("metrics", "outrider_control_plane_connected 0")
	if got := w.call(); got != 200 {
		t.Errorf("status %d", got)
	}
	w.Write(paymentsPod(), allow, letIn(intruder)) // while nobody hears it
	w.own.Rotate(t, devca.IssueOptions{})          // nor does a new SVID matter
	w.caller.Rotate(t, devca.IssueOptions{})
	if got := w.call(); got != 200 {
		t.Errorf("status %d", got)
	}
	w.Start()
	w.becomes(403)
	w.shows("metrics", "outrider_control_plane_connected 1")
}

func TestASidecarStartsWithWhatItKnewBefore(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.payments.Stop()
	<-w.payments.Done()
	w.Stop()
	w.begin("")
	w.open()
	w.becomes(200)
	w.shows("metrics", "outrider_policy_cached 1")
	w.shows("/config_dump", `"cached": true`, `"connected": false`, `"app": "payments"`)
	w.Start()
	w.shows("metrics", "outrider_policy_cached 0")
	w.Write(paymentsPod(), allow, letIn(intruder))
	w.becomes(403)
}

func TestWithoutAControlPlaneAndACacheASidecarIsNotReady(t *testing.T) {
	w := newTown(t)
	w.Stop()
	w.begin("", func(o *testkit.Options) { o.NotReady = true })
	w.shows("/ready", "policies: control plane at", "connection refused", "nothing is kept yet")
	if a := w.payments.Addresses(); len(a) > 0 {
		t.Errorf("it listens: %v", a)
	}
	w.Start()
	w.payments.AwaitReady(t)
}

func TestACacheThatIsOfNoUse(t *testing.T) {
	cases := []struct {
		name, says string
		spoil      func(w *town)
	}{
		{"of another workload", "that of another workload", func(w *town) { w.own = w.ca.Source(w.t, intruder) }},
		{"damaged", "damaged", func(w *town) {
			path := filepath.Join(w.cache, "documents")
			text, err := os.ReadFile(path)
			if err != nil {
				w.t.Fatal(err)
			}
			if err := os.WriteFile(path, text[:len(text)-1], 0o600); err != nil {
				w.t.Fatal(err)
			}
		}},
		{"of somebody who may write more", "others may write it", func(w *town) {
			if err := os.Chmod(filepath.Join(w.cache, "documents"), 0o666); err != nil {
				w.t.Fatal(err)
			}
		}},
	}
	if len(cases) < 3 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			w.Write(paymentsPod(), "MeshConfig//mesh", allowAll)
			w.begin("")
			w.payments.Stop()
			<-w.payments.Done()
			w.Stop()
			c.spoil(w)
			w.begin("", func(o *testkit.Options) { o.NotReady = true })
			w.shows("/ready", "policies of an earlier run", c.says)
			if a := w.payments.Addresses(); len(a) > 0 {
				t.Errorf("it listens: %v", a)
			}
		})
	}
}

func TestWhoeverElseAnswersIsNotTheControlPlane(t *testing.T) {
	w := newTown(t)
	other := plane.New(t, w.ca.Source(t, intruder))
	other.Start()
	other.Know(paymentsPod(), payments, nil)
	other.Write(paymentsPod(), "MeshConfig//mesh", allowAll)
	w.Plane = other
	w.begin("", func(o *testkit.Options) { o.NotReady = true })
	w.shows("/ready", "check spec.policies.controlPlane", intruder)
	if other.Server().Sidecars() > 0 {
		t.Error("it was spoken to")
	}
}

func TestAWorkloadThatTheControlPlaneDoesNotKnowIsNotReady(t *testing.T) {
	w := newTown(t)
	w.own = w.ca.Source(t, intruder)
	w.begin("", func(o *testkit.Options) { o.NotReady = true })
	w.shows("/ready", "PermissionDenied", "it does not take this workload for shop/payments")
}

func TestADocumentOfAnotherWorkloadIsRefused(t *testing.T) {
	w := newTown(t)
	w.begin("")
	w.Write(paymentsPod(), "Workload/shop/ledger", `{"namespace":"shop","name":"ledger"}`)
	testkit.Eventually(t, "the control plane knows that it was refused", func() bool {
		r, _ := w.Report(paymentsPod())
		return strings.Contains(r.Refused, "is about shop/ledger")
	})
}
