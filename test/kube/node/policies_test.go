package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const server = "http://payments.shop.svc:8080"

const allowed = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: payments-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["spiffe://cluster.local/ns/shop/sa/checkout"]}]
    to: [{ports: [8080], methods: [GET, POST], paths: ["/v1/*", "/search"]}]
`

// refusals goes from a default that denies to one caller who may, and one who may not.
func (w *world) refusals(t *testing.T) {
	a := w.get(t, "shop", "checkout", server+"/v1/charges")
	w.check(t, a.status == 403, "before any policy: %v", a)
	w.apply(t, allowed)
	w.eventually(t, 30*time.Second, "the policy reaches both replicas", func() (bool, string) {
		for range 4 {
			if a = w.get(t, "shop", "checkout", server+"/v1/charges"); a.status != 200 {
				return false, a.String()
			}
		}
		return true, ""
	})
	w.programmed(t)
	w.check(t, strings.Contains(a.body, `spiffe://cluster.local/ns/shop/sa/checkout`), "the application does not learn who calls: %s", a.body)
	for _, c := range []struct{ who, path string }{{"intruder", "/v1/charges"}, {"checkout", "/admin"}} {
		a := w.get(t, "shop", c.who, server+c.path)
		w.check(t, a.status == 403 && strings.Contains(a.header, "Proxy-Status"), "%s to %s: %v", c.who, c.path, a)
		id := decision(a.header)
		w.check(t, id != "", "no decision's id: %s", a.header)
		w.eventually(t, 20*time.Second, "the log explains "+id, func() (bool, string) {
			line := w.logged(t, id)
			return strings.Contains(line, "payments-callers") && strings.Contains(line, "/sa/"+c.who), line
		})
	}
	a = w.get(t, "outside", "checkout", server+"/v1/charges")
	w.check(t, a.status != 200, "somebody without a sidecar: %v", a)
}

// programmed reads what the policy's status says, and what becomes of a later version that
// no sidecar can use: none gets it, and the one before stays.
func (w *world) programmed(t *testing.T) {
	t.Helper()
	status := func() (string, error) {
		return w.try(t.Context(), "", "-n", "shop", "get", "accesspolicy", "payments-callers", "-o",
			`jsonpath={.status.sidecars.summary} {.status.conditions[?(@.type=="Accepted")].status} {.status.conditions[?(@.type=="Programmed")].status}`)
	}
	w.eventually(t, time.Minute, "the status says that both have it", func() (bool, string) {
		out, err := status()
		return err == nil && out == "2/2 True True", fmt.Sprint(out, err)
	})
	// The schema takes it: only who compiles it finds out.
	bad := strings.Replace(allowed, `"/search"]`, `"/a/{*}/{*}{*}"]`, 1)
	w.apply(t, bad)
	w.eventually(t, time.Minute, "the status says that it is not valid", func() (bool, string) {
		out, err := status()
		return err == nil && strings.Contains(out, " False "), fmt.Sprint(out, err)
	})
	a := w.get(t, "shop", "checkout", server+"/v1/charges")
	w.check(t, a.status == 200, "the version before does not stay: %v", a)
	w.apply(t, allowed)
	w.eventually(t, time.Minute, "the good one is back", func() (bool, string) {
		out, err := status()
		return err == nil && out == "2/2 True True", fmt.Sprint(out, err)
	})
}

// logged is what a sidecar of the server has written of a decision.
func (w *world) logged(t *testing.T, id string) string {
	t.Helper()
	for l := range strings.Lines(w.kubectl(t, "-n", "shop", "logs", "-l", "app=payments", "-c", "outrider", "--tail=-1")) {
		if id != "" && strings.Contains(l, id) {
			return l
		}
	}
	return "nothing"
}

// decision is the id that a refusal carries.
func decision(header string) string {
	for line := range strings.Lines(header) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.EqualFold(name, "X-Outrider-Decision") {
			return value
		}
	}
	return ""
}

// inspection puts a WAF before the application.
func (w *world) inspection(t *testing.T) {
	attack := server + "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"
	a := w.get(t, "shop", "checkout", attack)
	w.check(t, a.status == 200, "without inspection: %v", a)
	w.apply(t, `
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: payments-waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: Block
`)
	w.eventually(t, time.Minute, "an attack is blocked by both replicas", func() (bool, string) {
		for range 4 {
			if a = w.get(t, "shop", "checkout", attack); a.status != 403 {
				return false, a.String()
			}
		}
		return true, ""
	})
	a = w.get(t, "shop", "checkout", server+"/search?q=shoes")
	w.check(t, a.status == 200, "an ordinary request: %v", a)
	w.kubectl(t, "-n", "shop", "delete", "inspectionpolicy", "payments-waf")
	w.eventually(t, time.Minute, "without the policy nothing is inspected any more", func() (bool, string) {
		a := w.get(t, "shop", "checkout", attack)
		return a.status == 200, a.String()
	})
}

// job runs once and ends, sidecar and all.
func (w *world) job(t *testing.T) {
	w.apply(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: once}}
    spec:
      serviceAccountName: checkout
      restartPolicy: Never
      containers: [{name: app, image: "app:e2e", args: [get, "`+server+`/v1/charges"]}]
`)
	_, err := w.try(t.Context(), "", "-n", "shop", "wait", "--for=condition=Complete", "job/once", "--timeout=60s")
	pods, _ := w.try(t.Context(), "", "-n", "shop", "describe", "pods", "-l", "app=once")
	w.check(t, err == nil, "the Job does not complete: %v\n%s", err, pods)
	logs, err := w.try(t.Context(), "", "-n", "shop", "logs", "-l", "app=once", "-c", "app")
	w.check(t, err == nil && strings.HasPrefix(logs, "200\n"), "%v %s", err, logs)
}
