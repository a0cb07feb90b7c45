package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A Probe is a question that the sidecar asks the application in somebody's
// stead, who would be refused for want of an identity: the kubelet. It is served
// on the health port at /probe/NAME. Exactly one of HTTP, TCP and GRPC is set.
type Probe struct {
	// Name is unique, such as app/readiness.
	Name string     `yaml:"name"`
	HTTP *HTTPProbe `yaml:"http,omitempty"`
	TCP  *TCPProbe  `yaml:"tcp,omitempty"`
	GRPC *GRPCProbe `yaml:"grpc,omitempty"`
	// Timeout is how long the answer may take; 0 means 1 s, as in Kubernetes.
	Timeout time.Duration `yaml:"timeout,omitempty"`
}

// HTTPProbe is a GET request, answered well by a status from 200 to 399.
type HTTPProbe struct {
	Port uint16 `yaml:"port"`
	// Path may have a query; empty means "/".
	Path string `yaml:"path,omitempty"`
	// TLS asks over TLS, without verifying who answers: so does the kubelet.
	TLS bool `yaml:"tls,omitempty"`
	// Headers are sent in this order.
	Headers []ProbeHeader `yaml:"headers,omitempty"`
}

// ProbeHeader is one field of a request.
type ProbeHeader struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// TCPProbe is a connection, which is closed at once.
type TCPProbe struct {
	Port uint16 `yaml:"port"`
}

// GRPCProbe is a call of grpc.health.v1.Health/Check.
type GRPCProbe struct {
	Port uint16 `yaml:"port"`
	// Service is whose health is asked for; empty means the server's.
	Service string `yaml:"service,omitempty"`
}

// DefaultProbeTimeout is that of Kubernetes.
const DefaultProbeTimeout = time.Second

// maxProbeTimeout is the longest that anything of a probe is waited for.
const maxProbeTimeout = 10 * time.Minute

// Port is the application's that is asked; 0 when nothing says which.
func (p Probe) Port() uint16 {
	switch {
	case p.HTTP != nil:
		return p.HTTP.Port
	case p.TCP != nil:
		return p.TCP.Port
	case p.GRPC != nil:
		return p.GRPC.Port
	}
	return 0
}

func (c *checker) probes(s Spec) {
	first := map[string]int{}
	for i, p := range s.Probes {
		at := strict.Index("spec.probes", i)
		if c.probeName(at+".name", p.Name) {
			c.unique(first, at+".name", p.Name, i, "spec.probes[%d]")
		}
		if p.Timeout < 0 || p.Timeout > maxProbeTimeout {
			c.bad(at+".timeout", fmt.Sprintf("%v is out of range", p.Timeout), fmt.Sprintf("write up to %v, or remove it for %v", maxProbeTimeout, DefaultProbeTimeout))
		}
		c.question(at, p)
		c.notOurselves(at, p.Port(), s)
	}
	if len(s.Probes) > 0 && s.Health.Off() {
		c.bad("spec.probes", "are served on the health port, which is off", "remove them, or give spec.health.listen an address")
	}
}

// probeName is two labels or one: it is part of a URL and asked for by its text.
func (c *checker) probeName(at, name string) bool {
	outer, inner, two := strings.Cut(name, "/")
	if !label.MatchString(outer) || two && !label.MatchString(inner) {
		c.bad(at, fmt.Sprintf("%q is not a probe's name", clipped(name)), "write a name such as app/readiness")
		return false
	}
	return true
}

func (c *checker) question(at string, p Probe) {
	var set int
	for _, is := range []bool{p.HTTP != nil, p.TCP != nil, p.GRPC != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		c.bad(at, "has not exactly one of http, tcp and grpc", "write one of them")
	case p.Port() == 0:
		c.bad(at, "has no port", "name a port of the application")
	case p.HTTP != nil:
		c.httpProbe(at+".http", p.HTTP)
	}
}

func (c *checker) httpProbe(at string, p *HTTPProbe) {
	if u, err := url.ParseRequestURI(or(p.Path, "/")); err != nil || u.IsAbs() || !strings.HasPrefix(or(p.Path, "/"), "/") {
		c.bad(at+".path", fmt.Sprintf("%q is not a path", clipped(p.Path)), "write it from its root")
	}
	for i, h := range p.Headers {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			c.bad(strict.Index(at+".headers", i), fmt.Sprintf("%q is not a header field", clipped(h.Name+": "+h.Value)), "mend its name or its value")
		}
	}
}

// notOurselves refuses what would ask the sidecar, which would ask itself.
func (c *checker) notOurselves(at string, port uint16, s Spec) {
	for _, own := range []struct{ name, listen string }{{"admin", s.Admin.Listen}, {"metrics", s.Metrics.Listen}, {"health", s.Health.Listen}} {
		if a, ok := parseAddress(own.listen); ok && port != 0 && a.port == port {
			c.bad(at, fmt.Sprintf("port %d is the sidecar's own, for %s", port, own.name), "name a port of the application")
		}
	}
}
