package self

import "fmt"

// The files of a sidecar, in a directory of its own.
const (
	sidecarFile  = "sidecar.yaml"
	policyFile   = "policies/access.yaml"
	wafFile      = "policies/waf.yaml"
	socketFile   = "api.sock"
	accessLog    = "access.log"
	policyFolder = "policies"
)

// documents are what the sidecars are told. They name nothing that files for
// production would not, but for connections that are kept for the whole run.
type documents struct {
	dir                       string
	app, echo                 string
	out, outTCP, outInspected string
	in, inTCP, inInspected    string
}

const common = `
  admin: {listen: "off"}
  metrics: {listen: "off"}
  health: {listen: "off"}
  drain: {timeout: 1s}
  accessLog: {output: %[2]q}
  identity: {workloadAPI: {socket: "unix://%[1]s"}}
  limits: {idleTimeout: 2h, upstreamIdleTimeout: 2h, upstreamIdlePerDestination: 512}
`

func (d documents) head(name string) string {
	dir := d.dir + "/" + name
	return fmt.Sprintf("apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\nmetadata: {name: %s, namespace: load, labels: {app: %[1]s}}\nspec:", name) +
		fmt.Sprintf(common, dir+"/"+socketFile, dir+"/"+accessLog)
}

// access lets checkout do everything.
func (d documents) access(name string) string {
	return fmt.Sprintf(`apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: callers, namespace: load}
spec:
  selector: {matchLabels: {app: %s}}
  action: Allow
  rules:
  - from: [{principals: [%q]}]
`, name, identityOf("checkout").String())
}

const inspection = `apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: waf, namespace: load}
spec:
  selector: {matchLabels: {app: inspected}}
  mode: Block
`

func (d documents) inbound() map[string]string {
	return map[string]string{
		policyFile: d.access("payments"),
		sidecarFile: d.head("payments") + fmt.Sprintf(`  policies: {directory: %q}
  inbound:
  - {name: http, listen: %q, forward: %q, protocol: HTTP}
  - {name: tcp, listen: %q, forward: %q, protocol: TCP}
`, d.dir+"/payments/"+policyFolder, d.in, d.app, d.inTCP, d.echo),
	}
}

func (d documents) inspected() map[string]string {
	return map[string]string{
		policyFile: d.access("inspected"),
		wafFile:    inspection,
		sidecarFile: d.head("inspected") + fmt.Sprintf(`  policies: {directory: %q}
  inbound:
  - {name: http, listen: %q, forward: %q, protocol: HTTP}
`, d.dir+"/inspected/"+policyFolder, d.inInspected, d.app),
	}
}

func (d documents) outbound() map[string]string {
	text := d.head("checkout") + fmt.Sprintf(`  policies: {denyAll: true}
  outbound:
  - {name: http, listen: %q, destination: payments, protocol: HTTP}
  - {name: tcp, listen: %q, destination: echo, protocol: TCP}
`, d.out, d.outTCP)
	if d.outInspected != "" {
		text += fmt.Sprintf("  - {name: inspected, listen: %q, destination: inspected, protocol: HTTP}\n", d.outInspected)
	}
	id := identityOf("payments").String()
	text += fmt.Sprintf(`  destinations:
  - {name: payments, addresses: [%q], spiffeIDs: [%q]}
  - {name: echo, addresses: [%q], spiffeIDs: [%[2]q]}
`, d.in, id, d.inTCP)
	if d.outInspected != "" {
		text += fmt.Sprintf("  - {name: inspected, addresses: [%q], spiffeIDs: [%q]}\n", d.inInspected, identityOf("inspected").String())
	}
	return map[string]string{sidecarFile: text}
}
