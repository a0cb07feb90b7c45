package config

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
)

// The defaults of the sidecar's file.
const (
	// DefaultAdmin, DefaultMetrics and DefaultHealth are where the sidecar
	// serves itself.
	DefaultAdmin   = "127.0.0.1:15000"
	DefaultMetrics = ":15020"
	DefaultHealth  = ":15021"
	// DefaultQUICPort is where sidecars take QUIC.
	DefaultQUICPort = 15008
	// DefaultToken and DefaultTrustAnchors are where the injector mounts what a
	// sidecar needs to get its identity.
	DefaultToken        = "/var/run/secrets/outrider/token" //nolint:gosec // the name of a file
	DefaultTrustAnchors = "/var/run/outrider/trust/ca.pem"

	// defaultInterval is short beside the lifetime of any SVID and long
	// beside the cost of a stat.
	defaultInterval = 10 * time.Second
	// defaultDrain fits into the 30 s Kubernetes gives a pod by default only
	// because the application ends at the same time.
	defaultDrain = 30 * time.Second
	// defaultBudget keeps a destination that is overloaded below 1.2 times its
	// load.
	defaultBudget = 20
	// defaultProcessors is what a sidecar gets by on, and what costs least per
	// request: see docs/adr/0007-one-processor.md.
	defaultProcessors = 1
)

// SetDefaults fills every empty field that has a default. An inbound
// listener's mutual TLS mode stays empty, since MeshConfig may set it, and so
// do Limits, whose defaults are those of package limits.
func (s *Sidecar) SetDefaults() {
	spec := &s.Spec
	if f := spec.Identity.Files; f != nil {
		f.Interval = or(f.Interval, defaultInterval)
	}
	if m := spec.Identity.MeshCA; m != nil {
		m.Token, m.TrustAnchors = or(m.Token, DefaultToken), or(m.TrustAnchors, DefaultTrustAnchors)
	}
	spec.defaultCapture()
	for i := range spec.Inbound {
		in := &spec.Inbound[i]
		in.Protocol, in.Connect = or(in.Protocol, Detect), or(in.Connect, ConnectRefuse)
		if in.Capture {
			in.Listen = or(in.Listen, spec.Capture.inboundListen())
		}
	}
	for i := range spec.Outbound {
		out := &spec.Outbound[i]
		out.Protocol, out.Connect = or(out.Protocol, Detect), or(out.Connect, ConnectRefuse)
		if out.Capture {
			out.Listen = or(out.Listen, spec.Capture.outboundListen())
		}
	}
	for i := range spec.Destinations {
		d := &spec.Destinations[i]
		d.Protocol, d.QUIC = or(d.Protocol, Detect), or(d.QUIC, QUICOff)
		if d.QUIC != QUICOff {
			d.QUICPort = or(d.QUICPort, DefaultQUICPort)
		}
		if r := d.Retry; r != nil {
			r.Attempts, r.BudgetPercent = or(r.Attempts, 1), or(r.BudgetPercent, defaultBudget)
			if len(r.Statuses) == 0 {
				r.Statuses = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
			}
		}
	}
	if q := spec.QUIC; q != nil {
		q.Listen = or(q.Listen, fmt.Sprintf(":%d", DefaultQUICPort))
	}
	spec.Admin.Listen = or(spec.Admin.Listen, DefaultAdmin)
	spec.Metrics.Listen = or(spec.Metrics.Listen, DefaultMetrics)
	spec.Health.Listen = or(spec.Health.Listen, DefaultHealth)
	for i := range spec.Probes {
		spec.Probes[i].Timeout = or(spec.Probes[i].Timeout, DefaultProbeTimeout)
	}
	spec.AccessLog.Output = or(spec.AccessLog.Output, "stdout")
	spec.AccessLog.Allowed = or(spec.AccessLog.Allowed, LogAll)
	spec.Drain.Timeout = or(spec.Drain.Timeout, defaultDrain)
	spec.Processors = or(spec.Processors, defaultProcessors)
}

// off is what a document writes to turn something off. Some YAML tools spell
// words of this kind anew, so case does not matter.
func off(s string) bool { return strings.EqualFold(s, "off") }

// Off tells whether the endpoint is not served.
func (e Endpoint) Off() bool { return off(e.Listen) }

// Off tells whether no record is written.
func (l AccessLog) Off() bool { return off(l.Output) }

// reserved tells whether Output is a word and not a path.
func (l AccessLog) reserved() bool {
	return l.Off() || l.Output == "stdout" || l.Output == "stderr"
}

// Workload is the sidecar's own workload as policies see it. The trust domain
// is that of its SVID and left empty.
func (s *Sidecar) Workload() authz.Workload {
	return authz.Workload{Namespace: s.Metadata.Namespace, Name: s.Metadata.Name, Labels: s.Metadata.Labels}
}

// Destination returns the destination of that name; nil when there is none.
func (s *Spec) Destination(name string) *Destination {
	for i := range s.Destinations {
		if s.Destinations[i].Name == name {
			return &s.Destinations[i]
		}
	}
	return nil
}

// MarshalJSON writes the file with the keys and the notation (durations such
// as "30s") that it is read with. Nothing in it is secret.
func (s *Sidecar) MarshalJSON() ([]byte, error) {
	type plain Sidecar // without this method
	return asJSON((*plain)(s))
}

// MarshalJSON writes the documents with the keys that they are read with, and
// warnings as text.
func (d *Documents) MarshalJSON() ([]byte, error) {
	warnings := make([]string, len(d.Warnings))
	for i, w := range d.Warnings {
		warnings[i] = w.String()
	}
	return asJSON(struct {
		Generation string             `yaml:"generation"`
		Access     []authz.Policy     `yaml:"access"`
		Inspection []InspectionPolicy `yaml:"inspection"`
		Mesh       *MeshConfig        `yaml:"mesh,omitempty"`
		Warnings   []string           `yaml:"warnings,omitempty"`
	}{d.Generation, d.Access, d.Inspection, d.Mesh, warnings})
}

// asJSON goes by way of YAML, so that there is one set of keys.
func asJSON(v any) ([]byte, error) {
	text, err := yaml.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("reread configuration: %w", err)
	}
	return json.Marshal(tree)
}
