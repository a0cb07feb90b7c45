package mutate

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// captureMode is who redirects the pod's traffic.
type captureMode string

const (
	captureInit captureMode = "init" // an init container with NET_ADMIN
	captureCNI  captureMode = "cni"  // something on the node, before the pod's containers
	captureNone captureMode = "none" // nobody: the sidecar has listeners of its own
)

// CaptureModes lists who may redirect traffic.
func CaptureModes() []string {
	return []string{string(captureInit), string(captureCNI), string(captureNone)}
}

// settings are what annotations say about one sidecar.
type settings struct {
	image, pullPolicy string
	capture           captureMode
	listen            []listener
	uid               int64

	excludeInboundPorts, excludeOutboundPorts []uint16
	excludeInboundCIDRs, excludeOutboundCIDRs []string
	excludeUIDs                               []uint32
	unknown                                   config.UnknownMode

	mtls          config.MTLSMode
	rewriteProbes bool
	quic          bool
	accessLog     config.AllowedMode
	logLevel      string
	processors    int
	drain         time.Duration
	startup       time.Duration

	cpuRequest, cpuLimit, memoryRequest, memoryLimit resource.Quantity
}

// A listener is one of the explicit mode: a port of the sidecar and the
// application's behind it.
type listener struct{ port, forward uint16 }

// defaults are the settings of a pod without annotations. A sidecar at work holds
// some tens of MiB, with inspection on about 60; the limit leaves room for bodies
// that are inspected. There is no limit on CPU time, since one is paid with
// latency.
func (m Mesh) defaults(ns Namespace) settings {
	return settings{
		image: m.Image, pullPolicy: or(m.PullPolicy, string(corev1.PullIfNotPresent)),
		capture: or(captureMode(m.Capture), captureInit), uid: userOf(ns), rewriteProbes: true, logLevel: "info", startup: 2 * time.Minute,
		cpuRequest: resource.MustParse("20m"), memoryRequest: resource.MustParse("64Mi"), memoryLimit: resource.MustParse("256Mi"),
	}
}

// settings reads the annotations of the namespace, then those of the pod.
func (m Mesh) settings(pod *corev1.Pod, ns Namespace) (settings, error) {
	s := m.defaults(ns)
	table := map[string]Annotation{}
	for _, a := range Annotations() {
		table[a.Name] = a
	}
	var errs []error
	for _, of := range []struct {
		what        string
		annotations map[string]string
		strict      bool
	}{{"namespace " + ns.Name, ns.Annotations, false}, {"pod", pod.Annotations, true}} {
		for _, name := range slices.Sorted(maps.Keys(of.annotations)) {
			if !strings.HasPrefix(name, Prefix) || name == StatusAnnotation {
				continue
			}
			a, known := table[name]
			switch value := of.annotations[name]; {
			case known:
				if err := a.set(&s, value); err != nil {
					errs = append(errs, fmt.Errorf("%s: %s: %w", of.what, name, err))
				}
			case of.strict:
				errs = append(errs, fmt.Errorf("%s: %s is no annotation of ours; %s", of.what, name, strict.Suggest(name, slices.Sorted(maps.Keys(table)))))
			}
		}
	}
	return s, errors.Join(append(errs, s.contradictions())...)
}

// contradictions are settings that can't be meant together.
func (s settings) contradictions() error {
	var errs []error
	if s.capture == captureNone && len(s.listen) == 0 {
		errs = append(errs, fmt.Errorf("%scapture: none leaves the sidecar without anything to do; say where it listens with %slisten", Prefix, Prefix))
	}
	if s.capture != captureNone && len(s.listen) > 0 {
		errs = append(errs, fmt.Errorf("%slisten goes with %scapture: none only", Prefix, Prefix))
	}
	for _, r := range []struct {
		name           string
		request, limit resource.Quantity
	}{{"cpu", s.cpuRequest, s.cpuLimit}, {"memory", s.memoryRequest, s.memoryLimit}} {
		if !r.limit.IsZero() && r.request.Cmp(r.limit) > 0 {
			errs = append(errs, fmt.Errorf("%s%s-request %s is above the limit %s", Prefix, r.name, &r.request, &r.limit))
		}
	}
	return errors.Join(errs...)
}

// userOf is who the sidecar runs as. OpenShift gives each namespace a range of
// users and refuses others; the last of it is the least likely to be taken, for
// applications get the first.
func userOf(ns Namespace) int64 {
	first, size, ok := strings.Cut(ns.Annotations["openshift.io/sa.scc.uid-range"], "/")
	from, err := strconv.ParseUint(first, 10, 31)
	n, sizeErr := strconv.ParseUint(size, 10, 31)
	if !ok || err != nil || sizeErr != nil || n < 2 || from+n > 1<<31 {
		return UID
	}
	return int64(from + n - 1)
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// list reads values with commas between them.
func list[T any](text string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		v, err := parse(word)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func port(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", text)
	}
	return uint16(n), nil
}

func user(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not the number of a user", text)
	}
	return uint32(n), nil
}

func network(text string) (string, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p != p.Masked() {
		return "", fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
	}
	return text, nil
}

func listening(text string) (listener, error) {
	at, to, ok := strings.Cut(text, ":")
	p, err := port(at)
	f, forwardErr := port(to)
	if !ok || err != nil || forwardErr != nil {
		return listener{}, fmt.Errorf("%q is not PORT:APPLICATION-PORT, such as 8443:8080", text)
	}
	return listener{p, f}, nil
}
