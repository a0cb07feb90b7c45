package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

func TestCurlReachesAnHTTPServerThroughTwoSidecars(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", ":8080")
	m.payments.serve(t, "https", ":8443")
	cases := []struct {
		name, url, original, protocol, peer string
		from                                string
	}{
		{"IPv4", m.payments.at(8080), m.payments.ip + ":8080", "http1", checkout, m.payments.ip},
		{"IPv6", fmt.Sprintf("http://[%s]:8080/", m.payments.v6), fmt.Sprintf("[%s]:8080", m.payments.v6), "http1", checkout, m.payments.v6},
		{"a port of which nothing is said", strings.Replace(m.payments.at(8443), "http:", "https:", 1), m.payments.ip + ":8443", "tcp", "", m.payments.ip},
	}
	if len(cases) < 3 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, status := m.checkout.curl(t, "--insecure", c.url)
			if want := fmt.Sprintf("GET / peer=%q from=%s\n", c.peer, c.from); status != 0 || out != want {
				t.Fatalf("status %d, %q, want %q", status, out, want)
			}
			for _, side := range []struct {
				w         *workload
				direction string
			}{{m.checkout, "outbound"}, {m.payments, "inbound"}} {
				r := side.w.record(t, side.direction, c.original)
				if r["protocol"] != c.protocol || r["security"] != "mutual_tls" || refused(r) || r["passthrough"] != nil ||
					member(r, "source", "id") != checkout || member(r, "destination", "id") != payments {
					t.Errorf("%s: %v", side.direction, r)
				}
			}
		})
	}
}

func TestAVirtualAddressLeadsToTheDestinationBehindIt(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", ":8080")
	out, status := m.checkout.curl(t, "http://10.96.0.7/")
	if status != 0 || !strings.Contains(out, `peer="`+checkout+`"`) {
		t.Fatalf("status %d, %q", status, out)
	}
	r := m.checkout.record(t, "outbound", "10.96.0.7:80")
	if upstream := fmt.Sprint(r["upstream"]); !strings.HasSuffix(upstream, ":8080") || member(r, "destination", "service") != "web" {
		t.Errorf("it went to %s of %v", upstream, r)
	}
}

// A server that speaks first is not kept from it, on a port of which nothing is
// known and on one that is.
func TestAServerThatSpeaksFirst(t *testing.T) {
	m := newMesh(t, options{})
	for port, path := range map[int]string{7000: "detected", 3306: "by convention"} {
		addr := fmt.Sprintf("%s:%d", m.payments.ip, port)
		m.payments.serve(t, "greet", fmt.Sprintf(":%d", port))
		for range 3 {
			if out, status := m.checkout.dial(t, "call", addr); status != 0 || out != "220 who is it?\n250 it is me\n" {
				t.Errorf("%s: status %d, %q", path, status, out)
			}
		}
		if r := m.payments.record(t, "inbound", addr); r["protocol"] != "tcp" || r["security"] != "mutual_tls" || refused(r) {
			t.Errorf("%s: %v", path, r)
		}
	}
}
