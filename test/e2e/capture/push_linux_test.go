package capture

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
	"github.com/outrider-mesh/outrider/internal/testkit/plane"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// checkoutPod is the workload checkout as the control plane knows it.
func checkoutPod() plane.Key { return plane.Key{Namespace: "shop", Name: "checkout"} }

// inside runs f in the namespace of a pod. What it opens stays there.
func (p *pod) inside(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.holder.Process.Pid))
		if err != nil {
			result <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// listen opens a port of a pod, to serve it from here.
func (p *pod) listen(t *testing.T, port int) (l net.Listener) {
	t.Helper()
	if err := p.inside(func() (err error) {
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", p.ip, port))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// dialIn connects as a program in the pod does.
func (p *pod) dialIn(ctx context.Context, network, addr string) (nc net.Conn, err error) {
	err = p.inside(func() (err error) {
		nc, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return nc, err
}

// A city is a mesh whose caller is told by a control plane who answers where.
type city struct {
	*mesh
	*plane.Plane

	seat *pod // of the control plane
}

// pushPort is the one that sidecars of a cluster use.
const pushPort = 15011

func newCity(t *testing.T, unknown string) *city {
	t.Helper()
	netns.NeedsProgram(t, "curl")
	n := newNetwork(t)
	c := &city{mesh: &mesh{network: n, ca: newCA(t)}}
	checkoutPod1, paymentsPod := n.add(t, "checkout"), n.add(t, "payments")
	c.outsider, c.seat = n.add(t, "outsider"), n.add(t, "injector")
	c.Plane = plane.New(t, (&identitytest.CA{CA: c.ca}).Source(t, plane.ID))
	c.Serve(c.seat.listen(t, pushPort))
	c.Know(checkoutPod(), checkout, map[string]string{"app": "checkout"})
	c.payments = c.inject(t, paymentsPod, payments, "  inbound: [{name: in, capture: true}]\n", usualPolicies)
	cache := filepath.Join(filepath.Dir(file(t, "outrider")), fmt.Sprintf("cache-%d", time.Now().UnixNano()))
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(cache, sidecarUser, sidecarUser); err != nil {
		t.Fatal(err)
	}
	c.checkout = c.inject(t, checkoutPod1, checkout, "  inbound: [{name: in, capture: true}]\n  outbound: [{name: out, capture: true}]\n"+
		"  capture: {unknown: "+unknown+"}\n"+fmt.Sprintf(
		"  policies: {controlPlane: {address: \"%s:%d\", spiffeID: %q, cache: %q}}\n", c.seat.ip, pushPort, plane.ID, cache)+
		"  destinations: [{name: mine, addresses: [\"10.99.99.99:1\"], spiffeIDs: [\""+payments+"\"], match: [\"10.96.0.99:80\"]}]\n", "")
	return c
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// service is a target with endpoints that prove to be id.
func service(name, id string, addrs ...string) push.Target {
	t := push.Target{Name: name}
	g := push.Group{ID: id}
	for _, a := range addrs {
		g.At = append(g.At, at(a))
	}
	if len(addrs) > 0 {
		t.Endpoints = []push.Group{g}
	}
	return t
}

// answers waits until a call of checkout prints that.
func (c *city) answers(t *testing.T, url, text string) {
	t.Helper()
	var out string
	testkit.Eventually(t, url+" answers "+text, func() bool {
		out, _ = c.checkout.curl(t, url)
		return strings.Contains(out, text)
	})
}

// page is one of those that checkout's sidecar serves itself.
func (c *city) page(t *testing.T, port int, path string) string {
	t.Helper()
	out, status := curl(t, c.checkout.pod, sidecarUser, fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if status != 0 {
		t.Fatalf("%s: status %d, %s", path, status, out)
	}
	return out
}

func TestADestinationIsAskedForOnItsFirstCall(t *testing.T) {
	c := newCity(t, "Refuse")
	c.payments.serve(t, "http", ":8080")
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments, c.payments.ip+":8080", "["+c.payments.v6+"]:8080"))
	if n := c.Asked(at("10.96.0.1:80")); n != 0 {
		t.Errorf("asked %d times before the first call", n)
	}
	var calls sync.WaitGroup
	for range 8 { // at the same time
		calls.Go(func() {
			if out, status := c.checkout.curl(t, "http://10.96.0.1/"); status != 0 || !strings.Contains(out, `peer="`+checkout+`"`) {
				t.Errorf("status %d, %q", status, out)
			}
		})
	}
	calls.Wait()
	r := c.checkout.record(t, "outbound", "10.96.0.1:80")
	if r["security"] != "mutual_tls" || member(r, "destination", "id") != payments || member(r, "destination", "service") != "payments.shop:80" {
		t.Errorf("%v", r)
	}
	// Once for all callers; the server may have looked before it noted that it is asked.
	if n := c.Asked(at("10.96.0.1:80")); n < 1 || n > 2 {
		t.Errorf("asked %d times", n)
	}
	if text := c.page(t, 15000, "/config_dump"); !strings.Contains(text, `"payments.shop:80"`) {
		t.Errorf("%s", text)
	}
	testkit.Eventually(t, "the metrics tell of it", func() bool {
		return strings.Contains(c.page(t, 15020, "/metrics"), "\noutrider_discovered_destinations 1\n")
	})
}

func TestEndpointsThatChangeAreFollowed(t *testing.T) {
	c := newCity(t, "Refuse")
	c.payments.serve(t, "http", ":8080")
	vip := "http://10.96.0.1/"
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments, c.payments.ip+":8080"))
	c.answers(t, vip, "GET /")
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments)) // none is ready
	c.answers(t, vip, "no_destination")
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments, c.payments.ip+":8080"))
	c.answers(t, vip, "GET /")
	// Another identity at the same address is another endpoint.
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", intruder, c.payments.ip+":8080"))
	c.answers(t, vip, "upstream_tls_failed")
	c.Move(at("10.96.0.1:80"), push.Target{})
	c.answers(t, vip, "no_destination")
}

// Whatever the policy for unknown destinations is, one with endpoints in the mesh is
// never called in plaintext, and neither is one of which nothing is known.
func TestPlaintextIsForThoseOutsideOnly(t *testing.T) {
	c := newCity(t, "Passthrough")
	c.outsider.serve(t, "http", ":8080")
	there := c.outsider.ip + ":8080"
	url := "http://" + there + "/"
	c.Move(at(there), service("legacy.shop:8080", payments, there)) // it has no sidecar, though the control plane thinks so
	c.answers(t, url, "upstream_tls_failed")
	c.Move(at(there), service("legacy.shop:8080", payments))
	c.answers(t, url, "no_destination")
	c.Move(at(there), push.Target{Name: "legacy:8080", Outside: true})
	c.answers(t, url, "peer=\"\"")
	r := c.checkout.Await(t, "plaintext", func(r map[string]any) bool { return r["passthrough"] == true })
	if member(r, "destination", "service") != "legacy:8080" {
		t.Errorf("%v", r)
	}
	c.Move(at(there), push.Target{})
	c.answers(t, url, "peer=\"\"") // nobody knows it, and Passthrough is what is to become of such
	c.Move(at(there), service("legacy.shop:8080", payments, there))
	c.answers(t, url, "upstream_tls_failed")

	c.Stop()
	c.outsider.serve(t, "http", ":8081")
	c.answers(t, "http://"+c.outsider.ip+":8081/", "")
	if r := c.checkout.AwaitReason(t, "destination_unresolved"); member(r, "destination", "original") != c.outsider.ip+":8081" {
		t.Errorf("%v", r)
	}
}

// A connection that goes past the mesh ends when its address joins it.
func TestAnAddressThatJoinsTheMeshIsNotCalledInPlaintextAnyMore(t *testing.T) {
	c := newCity(t, "Passthrough")
	c.outsider.serve(t, "greet", ":7000")
	there := c.outsider.ip + ":7000"
	c.Move(at(there), push.Target{Name: "legacy:7000", Outside: true})
	nc, err := c.checkout.dialIn(t.Context(), "tcp", there)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "220") {
		t.Fatalf("%q, %v", line, err)
	}
	c.Move(at(there), service("legacy.shop:7000", payments, c.payments.ip+":7000"))
	if line, err := in.ReadString('\n'); err == nil || line != "" {
		t.Errorf("%q, %v", line, err)
	}
	c.checkout.AwaitReason(t, "policy_changed")
}

// Whom a connection of HTTP was for is whom all of its requests are for: one that was
// for the mesh doesn't go past it.
func TestAnOpenConnectionDoesNotLeaveTheMesh(t *testing.T) {
	c := newCity(t, "Passthrough")
	c.payments.serve(t, "http", ":8080")
	there := "10.96.0.1:80"
	c.Move(at(there), service("payments.shop:80", payments, c.payments.ip+":8080"))
	nc, err := c.checkout.dialIn(t.Context(), "tcp", there)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	ask := func() string {
		fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
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
	if out := ask(); !strings.Contains(out, checkout) {
		t.Fatalf("%q", out)
	}
	c.Move(at(there), push.Target{Name: "payments:80", Outside: true})
	testkit.Eventually(t, "it goes nowhere", func() bool {
		out := ask()
		if !strings.Contains(out, checkout) && !strings.Contains(out, "no_destination") {
			t.Fatalf("%q", out)
		}
		return strings.Contains(out, "no_destination")
	})
}

func TestUnknownAddressesAreRefused(t *testing.T) {
	c := newCity(t, "Refuse")
	c.outsider.serve(t, "http", ":8080")
	url := "http://" + c.outsider.ip + ":8080/"
	c.answers(t, url, "no_destination")
	c.Move(at(c.outsider.ip+":8080"), push.Target{Name: "legacy:8080", Outside: true})
	c.answers(t, url, "no_destination")
	// What the sidecar's own file says comes first.
	c.Move(at("10.96.0.99:80"), push.Target{Name: "stolen", Outside: true})
	c.checkout.curl(t, "--max-time", "1", "http://10.96.0.99/")
	if n := c.Asked(at("10.96.0.99:80")); n != 0 {
		t.Errorf("asked %d times for what is configured", n)
	}
}

func TestDestinationsOutliveControlPlaneAndSidecar(t *testing.T) {
	c := newCity(t, "Refuse")
	c.payments.serve(t, "http", ":8080")
	vip := "http://10.96.0.1/"
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments, c.payments.ip+":8080"))
	c.answers(t, vip, "GET /")
	c.Stop()
	c.answers(t, vip, "GET /")
	c.checkout.sidecar.stop(t)
	c.checkout.run(t)
	c.answers(t, vip, "GET /")
	if text := c.page(t, 15000, "/config_dump"); !strings.Contains(text, `"cached": true`) {
		t.Errorf("%s", text)
	}
	// It comes back, and what has changed meanwhile is known at once.
	c.Move(at("10.96.0.1:80"), service("payments.shop:80", payments))
	c.Serve(c.seat.listen(t, pushPort))
	c.answers(t, vip, "no_destination")
}

// The application calls a thousand addresses, once each: all are asked for, and in the
// end not more are known than may be.
func TestAThousandDestinations(t *testing.T) {
	c := newCity(t, "Refuse")
	c.payments.serve(t, "http", ":8080")
	const many = 1200
	for i := range many {
		c.Move(address(i), service(fmt.Sprintf("s%d.shop:80", i), payments, c.payments.ip+":8080"))
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.checkout.dialIn}, Timeout: patience}
	var calls sync.WaitGroup
	next := make(chan int)
	for range 16 {
		calls.Go(func() {
			for i := range next {
				res, err := client.Get("http://" + address(i).String() + "/")
				if err != nil {
					t.Errorf("%d: %v", i, err)
					continue
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("%d: %s", i, res.Status)
				}
			}
		})
	}
	for i := range many {
		next <- i
	}
	close(next)
	calls.Wait()
	testkit.Eventually(t, "there are as many as may be", func() bool {
		return strings.Contains(c.page(t, 15020, "/metrics"), "\noutrider_discovered_destinations 1024\n")
	})
	if r, ok := c.Report(checkoutPod()); !ok || r.Refused != "" {
		t.Errorf("%v, %s", ok, r.Refused)
	}
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 97, byte(i >> 8), byte(i)}), 80)
}
