package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// section returns what docs/config.md says under one heading.
func section(t *testing.T, title string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(data), "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/config.md has no section %q", title)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*?) ?\\| (.*) \\|$")

// A key is what the types say about one place in a document.
type key struct {
	path   string
	values []string // of a type with a fixed set of values
}

func keysOf(t reflect.Type, path string) (all []key) {
	switch {
	case t.Kind() == reflect.Pointer:
		return keysOf(t.Elem(), path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return keysOf(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()):
		return nil
	}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			all = append(all, keysOf(f.Type, path)...)
			continue
		}
		at := strict.Key(path, name)
		k := key{path: at}
		if v, ok := reflect.TypeAssert[interface{ Values() []string }](reflect.Zero(f.Type)); ok {
			k.values = v.Values()
		}
		all = append(all, k)
		all = append(all, keysOf(f.Type, at)...)
	}
	return all
}

func TestEveryKeyIsDocumentedAndEveryDocumentedKeyExists(t *testing.T) {
	count := 0
	for title, typ := range map[string]reflect.Type{
		KindSidecar:          reflect.TypeFor[Sidecar](),
		KindInspectionPolicy: reflect.TypeFor[head[InspectionPolicy]](),
		KindMeshConfig:       reflect.TypeFor[head[MeshConfig]](),
	} {
		rows := map[string]string{}
		var documented, want []string
		for _, m := range row.FindAllStringSubmatch(section(t, title), -1) {
			documented = append(documented, m[1])
			rows[m[1]] = m[2] + " " + m[3]
		}
		for _, k := range keysOf(typ, "") {
			if k.path == "metadata" || k.path == "spec" {
				continue // every Kubernetes object has them
			}
			count++
			want = append(want, k.path)
			for _, v := range k.values {
				if !strings.Contains(rows[k.path], "`"+v+"`") && !strings.Contains(rows[k.path], "`\""+v+"\"`") {
					t.Errorf("%s: %s does not mention the value %s", title, k.path, v)
				}
			}
		}
		slices.Sort(documented)
		slices.Sort(want)
		if diff := cmp.Diff(want, documented); diff != "" {
			t.Errorf("%s (-types +docs): %s", title, diff)
		}
	}
	if count < 100 {
		t.Errorf("%d keys are too few", count)
	}
}

func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	var s Sidecar
	s.Spec.Identity.Files, s.Spec.Identity.MeshCA = &Files{}, &MeshCA{}
	s.Spec.Inbound, s.Spec.Outbound = []Inbound{{}}, []Outbound{{}}
	s.Spec.Destinations, s.Spec.Capture = []Destination{{}}, &Capture{}
	s.SetDefaults()
	i, m, l := InspectionSpec{}.WithDefaults(), (*MeshConfig)(nil).WithDefaults(), limits.Default()
	for title, defaults := range map[string]map[string]any{
		KindSidecar: {
			"spec.identity.meshCA.token":                    s.Spec.Identity.MeshCA.Token,
			"spec.identity.meshCA.trustAnchors":             s.Spec.Identity.MeshCA.TrustAnchors,
			"spec.identity.files.interval":                  s.Spec.Identity.Files.Interval,
			"spec.inbound[].protocol":                       s.Spec.Inbound[0].Protocol,
			"spec.inbound[].connect":                        s.Spec.Inbound[0].Connect,
			"spec.outbound[].protocol":                      s.Spec.Outbound[0].Protocol,
			"spec.outbound[].connect":                       s.Spec.Outbound[0].Connect,
			"spec.destinations[].protocol":                  s.Spec.Destinations[0].Protocol,
			"spec.capture.uid":                              s.Spec.Capture.UID,
			"spec.capture.inboundPort":                      s.Spec.Capture.InboundPort,
			"spec.capture.outboundPort":                     s.Spec.Capture.OutboundPort,
			"spec.capture.unknown":                          s.Spec.Capture.Unknown,
			"spec.admin.listen":                             s.Spec.Admin.Listen,
			"spec.metrics.listen":                           s.Spec.Metrics.Listen,
			"spec.health.listen":                            s.Spec.Health.Listen,
			"spec.accessLog.output":                         s.Spec.AccessLog.Output,
			"spec.accessLog.allowed":                        s.Spec.AccessLog.Allowed,
			"spec.drain.timeout":                            s.Spec.Drain.Timeout,
			"spec.processors":                               s.Spec.Processors,
			"spec.limits.connections":                       l.Connections,
			"spec.limits.headBytes":                         l.HeadBytes,
			"spec.limits.targetBytes":                       l.TargetBytes,
			"spec.limits.headerCount":                       l.HeaderCount,
			"spec.limits.bodyBytes":                         l.BodyBytes,
			"spec.limits.idleTimeout":                       l.IdleTimeout,
			"spec.limits.headTimeout":                       l.HeadTimeout,
			"spec.limits.bodyTimeout":                       l.BodyTimeout,
			"spec.limits.writeTimeout":                      l.WriteTimeout,
			"spec.limits.handshakeTimeout":                  l.HandshakeTimeout,
			"spec.limits.detectTimeout":                     l.DetectTimeout,
			"spec.limits.tcpIdleTimeout":                    l.TCPIdleTimeout,
			"spec.limits.inspectionWait":                    l.InspectionWait,
			"spec.limits.inspectionTimeout":                 l.InspectionTimeout,
			"spec.limits.upstreamConnectTimeout":            l.UpstreamConnectTimeout,
			"spec.limits.upstreamResponseTimeout":           l.UpstreamResponseTimeout,
			"spec.limits.upstreamIdleTimeout":               l.UpstreamIdleTimeout,
			"spec.limits.upstreamIdlePerDestination":        l.UpstreamIdle,
			"spec.limits.upstreamConnectionsPerDestination": l.UpstreamConnections,
		},
		KindInspectionPolicy: {
			"spec.mode": i.Mode, "spec.profile": i.Profile, "spec.paranoia": i.Paranoia, "spec.threshold": i.Threshold,
			"spec.body.inspectBytes": i.Body.InspectBytes, "spec.body.overflow": i.Body.Overflow,
			"spec.grpc.inspect": i.GRPC.Inspect, "spec.grpc.streaming": i.GRPC.Streaming,
			"spec.onFailure.error": i.OnFailure.Error, "spec.onFailure.timeout": i.OnFailure.Timeout,
			"spec.onFailure.overload": i.OnFailure.Overload,
		},
		KindMeshConfig: {"spec.mtls": m.MTLS, "spec.defaultAccess": m.DefaultAccess},
	} {
		documented := map[string]string{}
		for _, r := range row.FindAllStringSubmatch(section(t, title), -1) {
			documented[r[1]] = r[2]
		}
		for path, v := range defaults {
			if want := fmt.Sprintf("`%v`", v); documented[path] != want {
				t.Errorf("%s: the default of %s is documented as %s and is %s", title, path, documented[path], want)
			}
		}
	}
}

var example = regexp.MustCompile("(?s)\n```yaml\n(.*?)```")

func TestDocumentedExamplesAreValid(t *testing.T) {
	m := example.FindStringSubmatch(section(t, KindSidecar))
	if m == nil {
		t.Fatal("the sidecar has no example")
	}
	if _, warnings, err := ParseSidecar("docs", []byte(m[1])); err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
	for _, title := range []string{KindAccessPolicy, KindInspectionPolicy, KindMeshConfig} {
		m := example.FindStringSubmatch(section(t, title))
		if m == nil {
			t.Fatalf("%s has no example", title)
		}
		if d, err := ParseDocuments([]File{{"docs", []byte(m[1])}}); err != nil || len(d.Warnings) > 0 {
			t.Error(title, err, d)
		}
	}
}
