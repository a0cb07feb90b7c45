package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/outrider-mesh/outrider/test/peers/pki"
)

// The two ways of a hop, and the two applications that both lead to.
const (
	overTCP  = "tcp"
	overQUIC = "quic"
	web      = "web"
	grpc     = "grpc"
)

// Ports in the namespaces, of which nobody else has any.
const (
	webPort, grpcPort               = 8080, 8081 // the applications
	webHop, grpcHop                 = 8443, 8444 // the inbound sidecar
	quicHop                         = 15008
	webTCP, webQUIC                 = 9001, 9002 // the outbound sidecar
	grpcTCP, grpcQUIC               = 9003, 9004
	loopback                        = "127.0.0.1"
	outboundConfig, inboundConfig   = "outbound.yaml", "inbound.yaml"
	outboundLog, inboundLog         = "outbound.log", "inbound.log"
	policiesDirectory, policiesFile = "policies", "allow.yaml"
)

// listenAt is where the outbound sidecar takes calls for an application over a way.
func listenAt(app, way string) string {
	port := map[string]int{web + overTCP: webTCP, web + overQUIC: webQUIC, grpc + overTCP: grpcTCP, grpc + overQUIC: grpcQUIC}[app+way]
	return fmt.Sprintf("%s:%d", loopback, port)
}

// appAt is where an application listens, in the other namespace.
func appAt(port int) string { return fmt.Sprintf("%s:%d", loopback, port) }

// files are what both sidecars are started from.
type files struct {
	dir            string
	client, server pki.Files
	far            string // the inbound sidecar's address
}

// write makes the identities and the configuration of both.
func (f *files) write() error {
	authority, err := pki.New(f.dir)
	if err != nil {
		return err
	}
	if f.client, err = authority.Issue("client"); err != nil {
		return err
	}
	if f.server, err = authority.Issue("server"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(f.dir, policiesDirectory), 0o700); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	for name, text := range map[string]string{
		outboundConfig: f.outbound(), inboundConfig: f.inbound(),
		filepath.Join(policiesDirectory, policiesFile): f.policies(),
	} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write a sidecar's file: %w", err)
		}
	}
	return nil
}

// head is what both files begin with.
func (f *files) head(name, log string, id pki.Files) string {
	return "apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\nmetadata: {name: " + name + ", namespace: bench}\nspec:\n" +
		fmt.Sprintf("  identity: {files: {svid: %q, key: %q, bundles: {%s: %q}}}\n", id.Cert, id.Key, pki.TrustDomain, id.CA) +
		fmt.Sprintf("  accessLog: {output: %q}\n", filepath.Join(f.dir, log)) +
		"  admin: {listen: \"off\"}\n  metrics: {listen: \"off\"}\n  health: {listen: \"off\"}\n  drain: {timeout: 1s}\n" +
		// Connections stay in the pool for the whole run.
		"  limits: {idleTimeout: 2h, upstreamIdleTimeout: 2h, upstreamIdlePerDestination: 512}\n"
}

func (f *files) outbound() string {
	var listeners, destinations strings.Builder
	for app, port := range map[string]int{web: webHop, grpc: grpcHop} {
		for way, quic := range map[string]string{overTCP: "", overQUIC: fmt.Sprintf(", quic: \"On\", quicPort: %d", quicHop)} {
			name := app + "-" + way
			fmt.Fprintf(&listeners, "  - {name: %s, listen: %q, destination: %[1]s, protocol: HTTP}\n", name, listenAt(app, way))
			fmt.Fprintf(&destinations, "  - {name: %s, addresses: [\"%s:%d\"], spiffeIDs: [%q]%s}\n", name, f.far, port, f.server.ID, quic)
		}
	}
	return f.head("client", outboundLog, f.client) + "  policies: {denyAll: true}\n" +
		"  outbound:\n" + listeners.String() + "  destinations:\n" + destinations.String()
}

func (f *files) inbound() string {
	return f.head("server", inboundLog, f.server) +
		fmt.Sprintf("  policies: {directory: %q}\n", filepath.Join(f.dir, policiesDirectory)) +
		fmt.Sprintf("  quic: {listen: \"%s:%d\"}\n  inbound:\n", f.far, quicHop) +
		fmt.Sprintf("  - {name: web, listen: \"%s:%d\", forward: %q, protocol: HTTP, mtls: Strict}\n", f.far, webHop, appAt(webPort)) +
		fmt.Sprintf("  - {name: grpc, listen: \"%s:%d\", forward: %q, protocol: HTTP, mtls: Strict}\n", f.far, grpcHop, appAt(grpcPort))
}

// policies are the one rule that every request is checked against.
func (f *files) policies() string {
	return "apiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: callers, namespace: bench}\n" +
		"spec: {action: Allow, rules: [{from: [{principals: [\"" + f.client.ID + "\"]}], to: [{methods: [GET, POST]}]}]}\n"
}
