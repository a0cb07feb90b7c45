package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// plainSidecar takes plaintext on one port and forwards it to app; everybody may
// call. extra is added to its spec.
func plainSidecar(listener, listen, app, extra string) string {
	return `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments, namespace: shop, labels: {app: payments}}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {denyAll: true}
  inbound: [{name: ` + listener + `, listen: "` + listen + `", forward: "` + app + `", mtls: Permissive}]
` + extra + off
}

// meshClient is a sidecar with one destination and one listener for it.
func meshClient(addresses, extra string) string {
	return `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: checkout, namespace: shop, labels: {app: checkout}}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {denyAll: true}
  outbound: [{name: payments, listen: "127.0.0.1:0", destination: payments}]
  destinations: [{name: payments, addresses: [` + addresses + `], spiffeIDs: ["` + payments + `"]}]
` + extra + off
}

func reconfigure(t *testing.T, s *proxy.Sidecar, yaml string) error {
	t.Helper()
	c, _, err := config.ParseSidecar(filepath.Join(t.TempDir(), "sidecar.yaml"), []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return s.Reconfigure(c)
}

// kept is a client that keeps one connection.
type kept struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

func keep(t *testing.T, addr string) *kept {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &kept{t, nc, bufio.NewReader(nc)}
}

// get returns "status body", or the error that ended the connection.
func (k *kept) get(path string) string {
	k.t.Helper()
	if _, err := fmt.Fprintf(k.nc, "GET %s HTTP/1.1\r\nhost: payments\r\n\r\n", path); err != nil {
		return err.Error()
	}
	res, err := http.ReadResponse(k.br, nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", res.StatusCode, b)
}

func app(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// gateway is a mesh server: an inbound sidecar in front of an application that
// answers its name.
func gateway(t *testing.T, ca *identitytest.CA, name string) string {
	t.Helper()
	s, _ := start(t, strings.Replace(plainSidecar("http", "127.0.0.1:0", app(t, name), ""),
		"policies: {denyAll: true}", "policies: {directory: "+allowAll(t)+"}", 1), ca.Source(t, payments))
	return s.Addresses()["http"]
}

func TestAReloadKeepsConnectionsThatAreOpen(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	one, two := gateway(t, ca, "one"), gateway(t, ca, "two")
	yaml := meshClient(`"`+one+`"`, "")
	s, _ := start(t, yaml, ca.Source(t, checkout))
	k := keep(t, s.Addresses()["payments"])
	if got := k.get("/"); got != "200 one" {
		t.Fatalf("before: %s", got)
	}
	for _, c := range []struct {
		name, yaml, want string
	}{
		{"nothing changed", yaml, "200 one"},
		{"a limit changed, and with it every pool", meshClient(`"`+one+`"`, "  limits: {headBytes: 16384}\n"), "200 one"},
		{"the destination moved", meshClient(`"`+two+`"`, ""), "200 two"},
		{"the destination may be somebody else only", strings.Replace(meshClient(`"`+one+`"`, ""),
			`spiffeIDs: ["`+payments, `spiffeIDs: ["`+payments+`-other`, 1), "502"},
		{"it moved back", yaml, "200 one"},
	} {
		if err := reconfigure(t, s, c.yaml); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := k.get("/"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAReloadKeepsCallersConnections(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	one, two := app(t, "one"), app(t, "two")
	allowed := func(yaml string) string { return yaml }
	dir := allowAll(t)
	file := func(listener, app, extra string) string {
		return strings.Replace(allowed(plainSidecar(listener, "127.0.0.1:0", app, extra)),
			"policies: {denyAll: true}", "policies: {directory: "+dir+"}", 1)
	}
	s, _ := start(t, file("http", one, ""), ca.Source(t, payments))
	addr := s.Addresses()["http"]
	k := keep(t, addr)
	if got := k.get("/"); got != "200 one" {
		t.Fatalf("before: %s", got)
	}
	if err := reconfigure(t, s, file("http", two, "  limits: {headBytes: 16384}\n")); err != nil {
		t.Fatal(err)
	}
	if s.Addresses()["http"] != addr {
		t.Errorf("the socket moved from %s to %s", addr, s.Addresses()["http"])
	}
	if got := k.get("/"); got != "200 two" {
		t.Errorf("on the connection that was open: %s", got)
	}
	if got := keep(t, addr).get("/"); got != "200 two" {
		t.Errorf("on a new connection: %s", got)
	}

	if err := reconfigure(t, s, file("other", two, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the listener that was taken out still accepts")
	}
	if b, err := k.br.ReadByte(); err == nil {
		t.Errorf("a connection of the listener that was taken out is open, read %q", b)
	}
	if got := keep(t, s.Addresses()["other"]).get("/"); got != "200 two" {
		t.Errorf("on the new listener: %s", got)
	}
}

func TestAReloadThatCannotBeTakenOverChangesNothing(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	one := gateway(t, ca, "one")
	yaml := meshClient(`"`+one+`"`, "")
	s, _ := start(t, yaml, ca.Source(t, checkout))
	k := keep(t, s.Addresses()["payments"])
	for _, c := range []struct {
		name, yaml, want string
	}{
		{"an address in use", strings.Replace(yaml, `listen: "127.0.0.1:0"`, `listen: "`+taken.Addr().String()+`"`, 1), "payments"},
		{"another workload", strings.Replace(yaml, "name: checkout", "name: other", 1), "metadata"},
		{"another identity", strings.Replace(yaml, "unix:///unused", "unix:///other", 1), "spec.identity"},
	} {
		if err := reconfigure(t, s, c.yaml); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to name %q", c.name, err, c.want)
		}
		if got := k.get("/"); got != "200 one" {
			t.Errorf("after %s: %s", c.name, got)
		}
	}
}

// allowAll is a directory with a policy that lets everybody in.
func allowAll(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	testkit.WritePolicies(t, dir, "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\n"+
		"metadata: {name: mesh}\nspec: {defaultAccess: AllowAll}\n")
	return dir
}
