package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A mistake is an edit of a good file. What is said about it is in the golden
// file, under its name.
type mistake struct {
	name     string
	old, new string // old must occur in the good file; empty appends
}

// reports renders what parsing says about every mistake, and fails for a
// mistake of which nothing is said.
func reports(t *testing.T, good string, mistakes []mistake, parse func(data string) ([]Problem, error)) string {
	t.Helper()
	if _, err := parse(good); err != nil {
		t.Fatalf("the good file is refused: %v", err)
	}
	var b strings.Builder
	for _, m := range mistakes {
		problems, err := parse(m.in(t, good))
		if invalid, ok := errors.AsType[*Invalid](err); ok {
			problems = invalid.Problems
		} else if err != nil {
			t.Errorf("%s: %v is no *Invalid", m.name, err)
		}
		if len(problems) == 0 {
			t.Errorf("%s: nothing is said", m.name)
		}
		fmt.Fprintf(&b, "== %s\n", m.name)
		for _, p := range problems {
			fmt.Fprintln(&b, p)
		}
	}
	return b.String()
}

// in returns the good file with the mistake.
func (m mistake) in(t *testing.T, good string) string {
	t.Helper()
	if m.old == "" {
		return good + m.new
	}
	if !strings.Contains(good, m.old) {
		t.Fatalf("%s: %q does not occur in the good file", m.name, m.old)
	}
	return strings.Replace(good, m.old, m.new, 1)
}

const goodSidecar = `apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments, namespace: shop}
spec:
  identity:
    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}
  policies: {directory: policies}
  inbound:
  - {name: http, listen: "0.0.0.0:8443", forward: "127.0.0.1:8080"}
  outbound:
  - {name: out, listen: "127.0.0.1:9001", destination: ledger}
  destinations:
  - {name: ledger, addresses: ["10.0.0.2:8443"], spiffeIDs: ["spiffe://example.org/ledger"]}
`

var sidecarMistakes = []mistake{
	{"no apiVersion", "apiVersion: outrider.dev/v1alpha1\n", ""},
	{"another apiVersion", "v1alpha1", "v1"},
	{"no kind", "kind: Sidecar\n", ""},
	{"a kind with a typing error", "kind: Sidecar", "kind: Sidcar"},
	{"a policy instead of a sidecar", "kind: Sidecar", "kind: AccessPolicy"},
	{"no metadata", "metadata: {name: payments, namespace: shop}\n", ""},
	{"a name with capitals", "name: payments", "name: Payments"},
	{"a name that is a number", "name: payments", "name: 42"},
	{"a name that is a truth value", "name: payments", "name: true"},
	{"a name without a value", "name: payments", "name: "},
	{"a namespace with a dot", "namespace: shop", "namespace: shop.eu"},
	{"a label without a name", "namespace: shop", `labels: {"": x}`},
	{"a label that is a number", "namespace: shop", `labels: {version: 2}`},
	{"a label whose key is a number", "namespace: shop", `labels: {2: x}`},
	{"an unknown key at the top", "", "status: {}\n"},
	{"an unknown key in spec", "", "  inbounds: []\n"},
	{"an unknown key in a listener", "listen: \"0.0", "lisen: \"0.0"},
	{"a key in other case", "forward:", "Forward:"},
	{"an unknown key like no other", "forward:", "qqqqqqqq: 1, forward:"},
	{"a repeated key", "name: http,", "name: http, name: https,"},
	{"a repeated section", "", "  policies: {denyAll: true}\n"},
	{"a key that is a list", "name: http,", "[a]: b, name: http,"},
	{"a key without a value", "  policies: {directory: policies}", "  policies:"},
	{"a list where a mapping belongs", "{directory: policies}", "[policies]"},
	{"a mapping where a list belongs", `["10.0.0.2:8443"]`, `{a: "10.0.0.2:8443"}`},
	{"text where a list belongs", `["10.0.0.2:8443"]`, `"10.0.0.2:8443"`},
	{"text where a mapping belongs", "{directory: policies}", "policies"},
	{"a mapping where text belongs", "name: http", "name: {a: b}"},
	{"an anchor", "name: http", "name: &n http"},
	{"an alias", "", "  accessLog: &log {output: stderr}\n  drain: *log\n"},
	{"a merge key", "", "  accessLog: {<<: {output: stderr}}\n"},
	{"a tag", "name: http", "name: !!binary aHR0cA=="},
	{"a number that is text", "", "  limits: {connections: many}\n"},
	{"a number with a unit", "", "  limits: {headBytes: 32KiB}\n"},
	{"a number in octal", "", "  limits: {connections: 010}\n"},
	{"a fraction", "", "  limits: {connections: 1.5}\n"},
	{"a number too large", "", "  limits: {connections: 99999999999999999999}\n"},
	{"a negative count", "", "  limits: {connections: -1}\n"},
	{"a negative duration", "", "  limits: {idleTimeout: -5s}\n"},
	{"a duration without a unit", "", "  limits: {idleTimeout: 300}\n"},
	{"a duration with a unit unknown", "", "  drain: {timeout: 1day}\n"},
	{"a negative drain", "", "  drain: {timeout: -1s}\n"},
	{"processors below none", "", "  processors: -1\n"},
	{"more processors than there are", "", "  processors: 4096\n"},
	{"a truth value that is a word", "directory: policies", `denyAll: "yes"`},
	{"no identity", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    {}"},
	{"two identities", "  identity:\n", "  identity:\n    workloadAPI: {}\n"},
	{"a mesh CA without a word", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {}"},
	{"a mesh CA without a port", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: issuer, server: \"spiffe://example.org/ns/o/sa/i\"}"},
	{"a mesh CA with port 0", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"10.0.0.1:0\", server: \"spiffe://example.org/ns/o/sa/i\"}"},
	{"a mesh CA whose name is a URL", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"https://issuer:15012\", server: \"spiffe://example.org/ns/o/sa/i\"}"},
	{"a mesh CA whose name is none", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"-issuer:15012\", server: \"spiffe://example.org/ns/o/sa/i\"}"},
	{"a mesh CA that is a whole trust domain", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"issuer:15012\", server: \"spiffe://example.org\"}"},
	{"a mesh CA that is no SPIFFE ID", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"issuer:15012\", server: outrider-injector}"},
	{"a mesh CA with its key", "    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "    meshCA: {address: \"issuer:15012\", server: \"spiffe://example.org/ns/o/sa/i\", key: k.pem}"},
	{"three identities", "  identity:\n", "  identity:\n    workloadAPI: {}\n    meshCA: {address: \"issuer:15012\", server: \"spiffe://example.org/ns/o/sa/i\"}\n"},
	{"a socket that is a path", "files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", "workloadAPI: {socket: /run/agent.sock}"},
	{"a socket with a relative path", "files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", `workloadAPI: {socket: "unix://run/agent.sock"}`},
	{"a socket on a named host", "files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}", `workloadAPI: {socket: "tcp://localhost:8081"}`},
	{"no svid", "svid: a.pem, ", ""},
	{"no key", "key: k.pem, ", ""},
	{"an empty key", "key: k.pem", `key: ""`},
	{"no bundles", ", bundles: {example.org: r.pem}", ""},
	{"a bundle of an ID", "example.org: r.pem", `"spiffe://example.org": r.pem`},
	{"a bundle without a file", "example.org: r.pem", `example.org: ""`},
	{"a negative interval", "svid: a.pem", "interval: -1s, svid: a.pem"},
	{"no policies", "  policies: {directory: policies}\n", ""},
	{"policies from nowhere", "directory: policies", "denyAll: false"},
	{"a shadow of itself", "directory: policies", "directory: policies, shadow: ./policies"},
	{"policies and none", "directory: policies", "directory: policies, denyAll: true"},
	{"policies from everywhere", "directory: policies", "directory: policies, denyAll: true, controlPlane: {address: \"injector:15011\", spiffeID: \"spiffe://example.org/ns/o/sa/i\", cache: c}"},
	{"a control plane without a word", "directory: policies", "controlPlane: {}"},
	{"a control plane that is a URL", "directory: policies", "controlPlane: {address: \"https://injector:15011\", spiffeID: \"spiffe://example.org/ns/o/sa/i\", cache: c}"},
	{"a control plane that is a trust domain", "directory: policies", "controlPlane: {address: \"injector:15011\", spiffeID: \"spiffe://example.org\", cache: c}"},
	{"a control plane without a cache", "directory: policies", "controlPlane: {address: \"injector:15011\", spiffeID: \"spiffe://example.org/ns/o/sa/i\"}"},
	{"a control plane that is to know an unknown key", "directory: policies", "controlPlane: {address: \"injector:15011\", spiffeID: \"spiffe://example.org/ns/o/sa/i\", cache: c, ttl: 5s}"},
	{"a workload in no namespace", "namespace: shop}\nspec:\n  identity:\n    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}\n  policies: {directory: policies}", "labels: {}}\nspec:\n  identity:\n    files: {svid: a.pem, key: k.pem, bundles: {example.org: r.pem}}\n  policies: {controlPlane: {address: \"injector:15011\", spiffeID: \"spiffe://example.org/ns/o/sa/i\", cache: c}}"},
	{"a listener without a name", "name: http, ", ""},
	{"a listener with a name no label can have", "name: http", "name: http/1"},
	{"two inbound listeners of a name", "  outbound:", "  - {name: http, listen: \":8444\", forward: \"127.0.0.1:8080\"}\n  outbound:"},
	{"two listeners of a name", "name: out", "name: http"},
	{"two outbound listeners of a name", "  destinations:", "  - {name: out, listen: \"127.0.0.1:9002\", destination: ledger}\n  destinations:"},
	{"no address to listen on", `listen: "0.0.0.0:8443", `, ""},
	{"an address without a port", `"0.0.0.0:8443"`, `"0.0.0.0"`},
	{"an address with a port too large", `"0.0.0.0:8443"`, `":88443"`},
	{"an address with a named port", `"0.0.0.0:8443"`, `":https"`},
	{"an address with a named host", `"0.0.0.0:8443"`, `"localhost:8443"`},
	{"a port alone", `"0.0.0.0:8443"`, `8443`},
	{"no application", `, forward: "127.0.0.1:8080"`, ""},
	{"an application elsewhere", "127.0.0.1:8080", "10.0.0.7:8080"},
	{"an application without an address", "127.0.0.1:8080", ":8080"},
	{"an application on port 0", "127.0.0.1:8080", "127.0.0.1:0"},
	{"a protocol in small letters", "name: http", "protocol: http, name: http"},
	{"a protocol that is not one", "name: http", "protocol: gopher, name: http"},
	{"a mode of mutual TLS that is not one", "name: http", "mtls: Optional, name: http"},
	{"a permissive listener", "name: http", "mtls: Permissive, name: http"},
	{"a mode of CONNECT that is not one", "name: http", "connect: Allow, name: http"},
	{"an outbound listener for everybody", "127.0.0.1:9001", "0.0.0.0:9001"},
	{"no destination", ", destination: ledger", ""},
	{"a destination with a typing error", "destination: ledger", "destination: legder"},
	{"a destination with no one to serve", "  - {name: out, listen: \"127.0.0.1:9001\", destination: ledger}", "    []"},
	{"no listener at all", goodSidecar[strings.Index(goodSidecar, "  inbound"):], ""},
	{"two destinations of a name", "", "  - {name: ledger, addresses: [\"10.0.0.3:8443\"], spiffeIDs: [\"spiffe://example.org/ledger\"]}\n"},
	{"no addresses", `addresses: ["10.0.0.2:8443"], `, ""},
	{"an address twice", `["10.0.0.2:8443"]`, `["10.0.0.2:8443", "10.0.0.2:8443"]`},
	{"an address to call with a name", "10.0.0.2:8443", "ledger:8443"},
	{"no SPIFFE IDs", `, spiffeIDs: ["spiffe://example.org/ledger"]`, ""},
	{"an ID that is a URL", "spiffe://example.org/ledger", "https://example.org/ledger"},
	{"an ID with a pattern", "spiffe://example.org/ledger", "spiffe://example.org/*"},
	{"a listener on the admin port", "127.0.0.1:9001", "127.0.0.1:15000"},
	{"a listener on the metrics port", "0.0.0.0:8443", "0.0.0.0:15020"},
	{"two listeners on a port", "127.0.0.1:9001", "127.0.0.1:8443"},
	{"an application that is the listener", "127.0.0.1:8080", "127.0.0.1:8443"},
	{"a destination that is the listener", "10.0.0.2:8443", "127.0.0.1:9001"},
	{"admin for everybody", "", "  admin: {listen: \":15000\"}\n"},
	{"admin on a network", "", "  admin: {listen: \"10.0.0.1:15000\"}\n"},
	{"an endpoint that is a word", "", "  health: {listen: none}\n"},
	{"an access log that is a directory", "", "  accessLog: {output: logs/}\n"},
	{"an access log of some", "", "  accessLog: {allowed: Some}\n"},
	{"a second document", "", "---\nkind: AccessPolicy\n"},
	{"broken syntax", "kind: Sidecar", "kind: [Sidecar"},
	{"a tab for indentation", "  identity:", "\tidentity:"},
	{"bytes that are no text", "kind: Sidecar", "kind: \xff"},
	{"deep nesting", "name: http", "name: " + strings.Repeat("[", 100) + strings.Repeat("]", 100)},
	{"a file of nothing", goodSidecar, "# nothing\n---\n"},
	{"a file of a word", goodSidecar, "hello"},
	{"a file of a list", goodSidecar, "- kind: Sidecar\n"},
	{"a captured listener with an address", `listen: "0.0.0.0:8443", forward: "127.0.0.1:8080"`, `capture: true, listen: "0.0.0.0:8443"`},
	{"a captured listener with an application", `listen: "0.0.0.0:8443", forward`, `capture: true, unsafeForward: true, forward`},
	{"a second captured listener", "  outbound:\n", "  - {name: a, capture: true}\n  - {name: b, capture: true}\n  outbound:\n"},
	{"a port twice", `listen: "0.0.0.0:8443", forward: "127.0.0.1:8080"`, `capture: true, ports: [{port: 80}, {port: 80, protocol: TCP}]`},
	{"port 0", `listen: "0.0.0.0:8443", forward: "127.0.0.1:8080"`, `capture: true, ports: [{port: 0}]`},
	{"a port beyond the last", `listen: "0.0.0.0:8443", forward: "127.0.0.1:8080"`, `capture: true, ports: [{port: 65536}]`},
	{"ports without capture", "name: http,", "name: http, ports: [{port: 80}],"},
	{"a captured outbound listener that knows more", `listen: "127.0.0.1:9001"`, `capture: true, unsafeListen: true, listen: "127.0.0.1:9001"`},
	{"the capture port is taken", "name: http, listen: \"0.0.0.0:8443\"", "name: all, capture: true}\n  - {name: http, listen: \"0.0.0.0:15006\""},
	{"neither addresses nor endpoints", `addresses: ["10.0.0.2:8443"], `, ""},
	{"an endpoint without an address", `addresses: ["10.0.0.2:8443"]`, `endpoints: [{zone: a}]`},
	{"an endpoint that is an address too", `name: ledger,`, `name: ledger, endpoints: [{address: "10.0.0.2:8443"}],`},
	{"an endpoint with a name that is none", `name: ledger,`, `name: ledger, endpoints: [{address: "10.0.0.3:8443", spiffeIDs: [ledger]}],`},
	{"one endpoint without an identity", `addresses: ["10.0.0.2:8443"], spiffeIDs: ["spiffe://example.org/ledger"]`, `endpoints: [{address: "10.0.0.3:8443", spiffeIDs: ["spiffe://example.org/ledger"]}, {address: "10.0.0.4:8443"}]`},
	{"a negative timeout", `name: ledger,`, `name: ledger, connectTimeout: -1s,`},
	{"fewer requests than none", `name: ledger,`, `name: ledger, maxPending: -1,`},
	{"too many attempts", `name: ledger,`, `name: ledger, retry: {attempts: 6},`},
	{"attempts below none", `name: ledger,`, `name: ledger, retry: {attempts: -1},`},
	{"a budget beyond everything", `name: ledger,`, `name: ledger, retry: {budgetPercent: 101},`},
	{"a status that tells of no failure", `name: ledger,`, `name: ledger, retry: {statuses: [200]},`},
	{"a method in lower case", `name: ledger,`, `name: ledger, retry: {methods: [post]},`},
	{"a tunnel that is tried again", `name: ledger,`, `name: ledger, retry: {methods: [CONNECT]},`},
	{"a UDP port of a destination that is not called over QUIC", `name: ledger,`, `name: ledger, quicPort: 15008,`},
	{"a mode of QUIC with a typing error", `name: ledger,`, `name: ledger, quic: "on",`},
	{"a UDP port beyond the last", `name: ledger,`, `name: ledger, quic: Auto, quicPort: 70000,`},
	{"no address for QUIC", "", "  quic: {listen: everywhere}\n"},
	{"a probe without a name", "", "  probes: [{tcp: {port: 80}}]\n"},
	{"a probe of no kind", "", "  probes: [{name: app/live}]\n"},
	{"a probe of two kinds", "", "  probes: [{name: app/live, tcp: {port: 80}, grpc: {port: 80}}]\n"},
	{"a probe of no port", "", "  probes: [{name: app/live, tcp: {}}]\n"},
	{"two probes of a name", "", "  probes: [{name: app/live, tcp: {port: 80}}, {name: app/live, tcp: {port: 81}}]\n"},
	{"a probe whose name leaves its place", "", "  probes: [{name: ../live, tcp: {port: 80}}]\n"},
	{"a probe of another host", "", "  probes: [{name: app/live, http: {port: 80, path: \"http://10.0.0.1/\"}}]\n"},
	{"a probe with a path that is none", "", "  probes: [{name: app/live, http: {port: 80, path: \"/%zz\"}}]\n"},
	{"a probe with a header that is none", "", "  probes: [{name: app/live, http: {port: 80, headers: [{name: \"a b\", value: c}]}}]\n"},
	{"a probe that splits its request", "", "  probes: [{name: app/live, http: {port: 80, headers: [{name: a, value: \"b\\r\\nc: d\"}]}}]\n"},
	{"a probe that takes a day", "", "  probes: [{name: app/live, tcp: {port: 80}, timeout: 24h}]\n"},
	{"a probe of the sidecar itself", "", "  probes: [{name: app/live, tcp: {port: 15021}}]\n"},
	{"a probe that is not served", "", "  health: {listen: \"off\"}\n  probes: [{name: app/live, tcp: {port: 80}}]\n"},
	{"capture that nobody takes", "", "  capture: {}\n"},
	{"one port for both directions", "", "  capture: {inboundPort: 15001}\n"},
	{"passthrough", "", "  capture: {unknown: Passthrough}\n"},
	{"an unknown way with the unknown", "", "  capture: {unknown: Allow}\n"},
	{"an excluded port 0", "", "  capture: {inbound: {excludePorts: [0]}, outbound: {excludePorts: [0]}}\n"},
	{"an excluded port twice", "", "  capture: {inbound: {excludePorts: [80, 443, 80]}}\n"},
	{"an excluded address", "", "  capture: {inbound: {excludeSources: [\"10.0.0.1\"]}}\n"},
	{"an excluded network with more bits", "", "  capture: {outbound: {excludeDestinations: [\"10.0.0.1/8\"]}}\n"},
	{"an excluded network in IPv6 form", "", "  capture: {outbound: {excludeDestinations: [\"::ffff:10.0.0.0/104\"]}}\n"},
	{"a user that is negative", "", "  capture: {outbound: {excludeUIDs: [-1]}}\n"},
	{"too many exclusions", "", "  capture: {outbound: {excludeUIDs: [" + strings.Repeat("7, ", 64) + "7]}}\n"},
	{"match without capture", "name: ledger, ", "name: ledger, match: [\"10.0.0.9:80\"], "},
	{
		"an address of two destinations", "listen: \"127.0.0.1:9001\", destination: ledger}\n  destinations:\n  - {name: ledger, ",
		"capture: true}\n  destinations:\n  - {name: a, addresses: [\"10.0.0.9:80\", \"10.0.0.2:8443\"], spiffeIDs: [\"spiffe://example.org/a\"]}\n" +
			"  - {name: ledger, match: [\"10.0.0.9:80\"], ",
	},
	{"matches that mean nothing", "name: ledger, ", "name: ledger, match: [ledger, \"10.0.0.9\", \"10.0.0.9:0\", \"10.0.0.9/8\", \"127.0.0.0/8\"], "},
	{"a match that is an address", "name: ledger, ", "name: ledger, match: [\"10.0.0.9:80\", \"10.0.0.9:80\"], "},
}

func TestMistakesInTheSidecarFile(t *testing.T) {
	if len(sidecarMistakes) < 95 {
		t.Errorf("%d cases are too few", len(sidecarMistakes))
	}
	got := reports(t, goodSidecar, sidecarMistakes, func(data string) ([]Problem, error) {
		_, warnings, err := ParseSidecar("s.yaml", []byte(data))
		return warnings, err
	})
	golden(t, "sidecar_mistakes.golden", got)
}

const goodDocuments = `apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["spiffe://example.org/checkout"]}]
    to: [{ports: [8080], paths: ["/v1/*"]}]
---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: Block
  body: {inspectBytes: 8192}
  callers: [{principals: ["spiffe://example.org/batch"], mode: Detect}]
  exclusions: [{rule: 942100, parameter: q, reason: search}]
---
apiVersion: outrider.dev/v1alpha1
kind: MeshConfig
spec: {mtls: Strict}
`

var documentMistakes = []mistake{
	{"an unknown kind", "kind: InspectionPolicy", "kind: InspectPolicy"},
	{"a sidecar among policies", "kind: MeshConfig", "kind: Sidecar"},
	{"a kind that is a number", "kind: MeshConfig", "kind: 5"},
	{"no apiVersion", "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig", "kind: MeshConfig"},
	{"an access policy without a name", "name: callers, ", ""},
	{"an action in small letters", "action: Allow", "action: allow"},
	{"an access policy without an action", "  action: Allow\n", ""},
	{"an access policy without a spec", goodDocuments[strings.Index(goodDocuments, "spec:"):strings.Index(goodDocuments, "---")], ""},
	{"a spec without a value", goodDocuments[strings.Index(goodDocuments, "spec:"):strings.Index(goodDocuments, "---")], "spec:\n"},
	{"a port that is text", "[8080]", `["8080"]`},
	{"a port out of range", "[8080]", "[80800]"},
	{"a path without a slash", "/v1/*", "v1"},
	{"a principal that is a name", "spiffe://example.org/checkout", "checkout"},
	{"an empty list of principals", `["spiffe://example.org/checkout"]`, "[]"},
	{"from without a value", `from: [{principals: ["spiffe://example.org/checkout"]}]`, "from:"},
	{"a key of access in other case", "principals: [\"spiffe://example.org/checkout", "Principals: [\"spiffe://example.org/checkout"},
	{"a rate limit of nothing", "    to: [{ports", "    limit: {rate: 0, per: Second}\n    to: [{ports"},
	{"two access policies of a name", "", goodDocuments[strings.Index(goodDocuments, "---"):] + "---\n" + goodDocuments[:strings.Index(goodDocuments, "---")]},
	{"two mesh configurations", "", "---\napiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: other}\nspec: {}\n"},
	{"two inspection policies of a name", "", "---\napiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: waf, namespace: shop}\nspec: {}\n"},
	{"an inspection policy without a name", "name: waf, ", ""},
	{"an inspection mode that is a number", "mode: Block", "mode: 1"},
	{"an inspection mode that is not one", "mode: Block", "mode: Enforce"},
	{"a selector of nothing", "{matchLabels: {app: payments}}\n  mode", "{}\n  mode"},
	{"a profile that is not one", "mode: Block", "profile: owasp"},
	{"a paranoia beyond the last level", "mode: Block", "paranoia: 5"},
	{"a negative paranoia", "mode: Block", "paranoia: -1"},
	{"a negative threshold", "mode: Block", "threshold: -5"},
	{"a threshold nothing reaches", "mode: Block", "threshold: 100000"},
	{"a body without bound", "8192", "1073741824"},
	{"a negative body", "8192", "-1"},
	{"an overflow that is not one", "inspectBytes: 8192", "overflow: Reject"},
	{"an inspection of gRPC that is none", "mode: Block", "grpc: {inspect: Messages}"},
	{"streams of gRPC that are not inspected", "mode: Block", "grpc: {streaming: Deny}"},
	{"streams of gRPC of which the head is inspected", "mode: Block", "grpc: {inspect: Headers, streaming: InspectFirst}"},
	{"a way with streams that is none", "mode: Block", "grpc: {inspect: Unary, streaming: Pass}"},
	{"a gRPC that is a word", "mode: Block", "grpc: Unary"},
	{"a failure that opens", "mode: Block", "onFailure: {timeout: Allow}"},
	{"a failure that is not one", "mode: Block", "onFailure: {error: Open}"},
	{"a failure of another kind", "mode: Block", "onFailure: {panic: Deny}"},
	{"a caller without a mode", ", mode: Detect", ""},
	{"a caller without principals", `principals: ["spiffe://example.org/batch"], `, ""},
	{"callers with a paranoia that does not exist", "mode: Detect", "paranoia: 5"},
	{"callers with a threshold below 0", "mode: Detect", "threshold: -1"},
	{"callers with a negative cap", "mode: Detect", "body: {inspectBytes: -1}"},
	{"callers with an exclusion that nobody explains", "mode: Detect", "exclusions: [{rule: 942100, parameter: q}]"},
	{"callers with an exclusion of the score", "mode: Detect", "exclusions: [{rule: 949110, parameter: q, reason: r}]"},
	{"a rollout to nobody", "mode: Block", "rollout: {percent: 0}"},
	{"a rollout to more than all", "mode: Block", "rollout: {percent: 101}"},
	{"a rollout of nothing", "mode: Block", "rollout: {percent: 10, mode: \"Off\"}"},
	{"a budget beyond measure", "mode: Block", "cpuMillis: 100000"},
	{"a caller that is no SPIFFE ID", "spiffe://example.org/batch", "https://batch"},
	{"an empty list of paths", "mode: Block", "paths: []"},
	{"a path of inspection without a slash", "mode: Block", "paths: [/a, b]"},
	{"an exclusion of the request's score", "942100", "949110"},
	{"an exclusion of the response's score", "942100", "959100"},
	{"an exclusion of the setup", "942100", "901200"},
	{"an exclusion without a rule", "rule: 942100, ", ""},
	{"an exclusion without a reason", ", reason: search", ""},
	{"an exclusion with a blank reason", "reason: search", `reason: " "`},
	{"an exclusion that expires some day", "reason: search", "reason: search, expires: soon"},
	{"an exclusion that expires on no day", "reason: search", "reason: search, expires: 2027-02-30"},
	{"an exclusion with a broken path", "reason: search", "reason: search, path: search"},
	{"an exclusion of everything", "parameter: q, ", ""},
	{"rules that are a list", "mode: Block", "rules: [SecRule]"},
	{"rules that are blank", "mode: Block", "rules: \" \""},
	{"a trust domain that is an ID", "mtls: Strict", `trustDomain: "spiffe://example.org"`},
	{"a trust domain with capitals", "mtls: Strict", `trustDomain: Example.org`},
	{"identities from nobody", "mtls: Strict", "identity: {provider: Vault}"},
	{"a driver that nobody asks", "mtls: Strict", "identity: {driver: csi.spiffe.io}"},
	{"a socket that is a path", "mtls: Strict", "identity: {provider: WorkloadAPI, socket: /run/agent.sock}"},
	{"a permissive mesh", "mtls: Strict", "mtls: Permissive"},
	{"a mesh open to all", "mtls: Strict", "defaultAccess: AllowAll"},
	{"a default that is not one", "mtls: Strict", "defaultAccess: Allow"},
	{"a broken document between good ones", "kind: InspectionPolicy", "kind: [InspectionPolicy"},
	{"mistakes in all documents", goodDocuments, strings.NewReplacer("Allow", "Permit", "942100", "0", "Strict", "strict").Replace(goodDocuments)},
}

func TestMistakesInDocuments(t *testing.T) {
	if len(documentMistakes) < 55 {
		t.Errorf("%d cases are too few", len(documentMistakes))
	}
	got := reports(t, goodDocuments, documentMistakes, func(data string) ([]Problem, error) {
		docs, err := ParseDocuments([]File{{Name: "p.yaml", Data: []byte(data)}})
		if err != nil {
			return nil, err
		}
		return docs.Warnings, nil
	})
	golden(t, "document_mistakes.golden", got)
}

// The custom resources refuse these too, where a schema can; the tests of
// injector/apis/crd read them from this file.
func TestMistakenDocumentsAreWrittenDown(t *testing.T) {
	a := &txtar.Archive{Files: []txtar.File{{Name: "nothing", Data: []byte(goodDocuments)}}}
	for _, m := range documentMistakes {
		a.Files = append(a.Files, txtar.File{Name: m.name, Data: []byte(m.in(t, goodDocuments))})
	}
	golden(t, "document_mistakes.txtar", string(txtar.Format(a)))
}
