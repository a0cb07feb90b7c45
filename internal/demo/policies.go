package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// The files in the policy directory, which all sidecars of the demo share. Each
// document selects the workload that it is about.
const (
	checkoutFile   = "checkout.yaml"
	paymentsFile   = "payments.yaml"
	inspectionFile = "payments-waf.yaml"
	mistypedFile   = "mistyped.yaml"
)

// The policies that decisions name.
const (
	checkoutCallers = "shop/checkout-callers"
	paymentsCallers = "shop/payments-callers"
	paymentsWAF     = "shop/payments-waf"
)

const checkoutPolicy = `# Only storefront may place orders.
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: checkout-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: checkout}}
  action: Allow
  rules:
  - from: [{principals: ["spiffe://example.org/ns/shop/sa/storefront"]}]
    to: [{methods: [POST], paths: ["/orders"]}]
`

// paymentsPolicy lets checkout use the given methods, which are YAML.
func paymentsPolicy(methods string) string {
	return fmt.Sprintf(`# Only checkout may charge.
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: payments-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["spiffe://example.org/ns/shop/sa/checkout"]}]
    to: [{methods: [%s], paths: ["/v1/charges", "/v1/charges/{*}"]}]
`, methods)
}

const inspectionPolicy = `# What payments is sent is inspected with the OWASP Core Rule Set.
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: payments-waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: Block
`

// mistypedPolicy has "principle" where "principals" is meant. If the key were
// ignored, the rule would let everybody in.
const mistypedPolicy = `apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: auditors, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principle: ["spiffe://example.org/ns/shop/sa/auditor"]}]
`

// mistypedField is where the mistake stands.
const mistypedField = "spec.rules[0].from[0].principle"

func shopPolicies() map[string]string {
	return map[string]string{
		checkoutFile: checkoutPolicy, paymentsFile: paymentsPolicy("GET, POST"), inspectionFile: inspectionPolicy,
	}
}

// writePolicy puts a document into force as an editor would: the new file takes
// the place of the old one at once.
func writePolicy(dir, name, text string) error {
	next := filepath.Join(dir, "."+name) // hidden files hold no documents
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write a policy: %w", err)
	}
	if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("put a policy in place: %w", err)
	}
	return nil
}

func removePolicy(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("remove a policy: %w", err)
	}
	return nil
}
