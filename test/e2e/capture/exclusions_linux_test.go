package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Addresses of the pods, in the order in which newMesh adds them.
const (
	checkoutIP = "10.99.1.2"
	paymentsIP = "10.99.2.2"
	outsiderIP = "10.99.3.2"
	outsiderV6 = "fd99:3::2"
)

// direct is what a server says that was called without any sidecar.
func direct(from string) string { return fmt.Sprintf("GET / peer=\"\" from=%s\n", from) }

func TestWhatIsExcludedIsLeftAlone(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{
		calling: "  capture: {outbound: {excludePorts: [8081], excludeDestinations: [\"" + outsiderIP + "/32\"], excludeUIDs: [1001]}}\n",
		called:  "  capture: {inbound: {excludePorts: [8082], excludeSources: [\"" + outsiderIP + "/32\"]}}\n",
	})
	m.payments.serve(t, "http", ":8080")
	m.payments.serve(t, "http", ":8082")
	for _, port := range []string{":9000", ":8081", ":53"} {
		m.outsider.serve(t, "http", port)
	}
	url := func(host string, port int) string { return fmt.Sprintf("http://%s:%d/", host, port) }
	cases := []struct {
		name string
		from *pod
		user int
		url  string
		want string
	}{
		{"a port that is called", m.checkout.pod, application, url("["+outsiderV6+"]", 8081), direct(m.checkout.v6)},
		{"an address that is called", m.checkout.pod, application, url(outsiderIP, 9000), direct(checkoutIP)},
		{"another address that is called", m.checkout.pod, application, url("["+outsiderV6+"]", 9000), "no_destination"},
		{"a user", m.checkout.pod, excluded, url("["+outsiderV6+"]", 9000), direct(m.checkout.v6)},
		{"a user, and the receiver knows", m.checkout.pod, excluded, url(paymentsIP, 8080), "plaintext_refused"},
		{"DNS over TCP", m.checkout.pod, application, url("["+outsiderV6+"]", 53), direct(m.checkout.v6)},
		{"a port of the application", m.outsider, application, url("["+m.payments.v6+"]", 8082), direct(outsiderV6)},
		{"a caller", m.outsider, application, url(paymentsIP, 8080), direct(outsiderIP)},
		{"another address of the caller", m.outsider, application, url("["+m.payments.v6+"]", 8080), "plaintext_refused"},
		{"a caller that is not excluded", m.checkout.pod, application, url(paymentsIP, 8080), checkout},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if out, _ := curl(t, c.from, c.user, c.url); !strings.Contains(out, c.want) {
				t.Errorf("%q, want %q", out, c.want)
			}
		})
	}
}

func TestOtherProtocolsAreNotCaptured(t *testing.T) {
	m := newMesh(t, options{})
	for _, port := range []string{":53", ":443", ":15008"} { // names, QUIC, and the sidecar's own QUIC
		m.outsider.serveUDP(t, port)
		if out, status := m.checkout.dial(t, "call-udp", outsiderIP+port); status != 0 || out != "echo it is me\n" {
			t.Errorf("%s: status %d, %q", port, status, out)
		}
	}
	text, status := m.checkout.capture(t, "--show")
	_, outbound, _ := strings.Cut(text, "chain outbound")
	if want := `meta l4proto != tcp counter packets 3 bytes 111 return comment "only TCP is captured"`; status != 0 || !strings.Contains(outbound, want) {
		t.Errorf("status %d\n%s\nwant %q in it", status, text, want)
	}
}

// A machine that routes for others does not take their traffic for its own.
func TestWhatIsRoutedForOthersIsLeftAlone(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", ":8080")
	m.router.must(t, root, append(append([]string{}, netAdmin...), file(t, "outrider"), "capture", "--no-verify")...)
	if out, status := m.checkout.curl(t, m.payments.at(8080)); status != 0 || !strings.Contains(out, checkout) {
		t.Errorf("status %d, %q", status, out)
	}
}
