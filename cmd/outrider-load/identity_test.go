package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// issue writes an SVID's files into a directory of its own.
func issue(t *testing.T, ca *devca.CA, id string) (svid, key, bundle string) {
	t.Helper()
	issued, err := ca.Issue(spiffeid.RequireFromString(id), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	chain, private, err := issued.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var roots []byte
	for _, root := range ca.Bundle().X509Authorities() {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("svid.pem", chain), write("key.pem", private), write("bundle.pem", roots)
}

// A sidecar that takes mutual TLS only is reached with an identity from files.
func TestAttackWithAnIdentity(t *testing.T) {
	const domain, payments = "example.org", "spiffe://example.org/ns/shop/sa/payments"
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString(domain), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	svid, key, bundle := issue(t, ca, payments)
	src, err := files.New(files.Options{SVID: svid, Key: key, Bundles: map[string]string{domain: bundle}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })}
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(tls.NewListener(l, mtls.ServerConfig(src, mtls.ServerOptions{NextProtos: []string{"http/1.1"}})))
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})

	sample := filepath.Join(t.TempDir(), "a.black")
	if err := os.WriteFile(sample, []byte("GET / HTTP/1.1\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	svid, key, bundle = issue(t, ca, "spiffe://example.org/ns/shop/sa/checkout")
	attack := func(more ...string) (string, error) {
		var out strings.Builder
		args := append([]string{sample, "--url", "https://" + l.Addr().String()}, more...)
		err := attackWAF(t.Context(), args, cli.Environment{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &out})
		return out.String(), err
	}
	own := []string{"--svid", svid, "--key", key, "--bundle", bundle}
	if out, err := attack(append(own, "--spiffe-server", payments)...); err != nil || !strings.Contains(out, "1 of 1") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := attack(append(own, "--spiffe-server", "spiffe://example.org/another")...); !errors.Is(err, statusUndecided) || !strings.Contains(out, "connect: TLS with") {
		t.Errorf("another server: %v\n%s", err, out)
	}
	if out, err := attack("--roots", bundle); !errors.Is(err, statusUndecided) {
		t.Errorf("without an identity: %v\n%s", err, out)
	}
	if _, err := attack("--svid", "absent", "--key", key, "--bundle", bundle, "--spiffe-server", payments); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an SVID that is not there: %v", err)
	}
	if _, err := attack("--spiffe-server", payments); err == nil || errors.Is(err, statusUndecided) {
		t.Errorf("no Workload API: %v", err)
	}
}

func TestAnIdentityThatIsNotIssuedIsNotWaitedForAfterASignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i := identityFlags{servers: words{"spiffe://example.org/a"}, identity: target.Identity{Socket: "unix://" + filepath.Join(t.TempDir(), "absent.sock")}}
	if _, _, err := i.open(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
