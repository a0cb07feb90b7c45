package mutate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// sidecar is the configuration of one pod's sidecar, without what the control
// plane has to do with it.
func sidecar(pod *corev1.Pod, ns Namespace, s settings, probes []config.Probe) config.Sidecar {
	spec := config.Spec{
		Probes: probes, Processors: s.processors, AccessLog: config.AccessLog{Allowed: s.accessLog},
		Drain: config.Drain{Timeout: or(s.drain, max(time.Second, grace(pod)-drainMargin))},
	}
	if s.capture == captureNone {
		for _, l := range s.listen {
			spec.Inbound = append(spec.Inbound, config.Inbound{
				Name: fmt.Sprintf("inbound-%d", l.port), Listen: fmt.Sprintf(":%d", l.port),
				Forward: fmt.Sprintf("127.0.0.1:%d", l.forward), MTLS: s.mtls, Protocol: protocolOf(pod, l.forward),
			})
		}
	} else {
		spec.Inbound = []config.Inbound{{Name: "inbound", Capture: true, MTLS: s.mtls, Ports: declared(pod)}}
		spec.Outbound = []config.Outbound{{Name: "outbound", Capture: true}}
		spec.Capture = redirection(s)
	}
	if s.quic {
		spec.QUIC = &config.QUIC{}
	}
	return config.Sidecar{
		APIVersion: config.APIVersion, Kind: config.KindSidecar, Spec: spec,
		Metadata: config.Metadata{Name: Workload(pod), Namespace: ns.Name, Labels: labels(pod)},
	}
}

// drainMargin is what of the grace period is left for ending after draining.
const drainMargin = 5 * time.Second

func redirection(s settings) *config.Capture {
	c := &config.Capture{
		Unknown:  s.unknown,
		Inbound:  config.CaptureInbound{ExcludePorts: s.excludeInboundPorts, ExcludeSources: s.excludeInboundCIDRs},
		Outbound: config.CaptureOutbound{ExcludePorts: s.excludeOutboundPorts, ExcludeDestinations: s.excludeOutboundCIDRs, ExcludeUIDs: s.excludeUIDs},
	}
	if s.uid != UID {
		c.UID = uint32(s.uid) //nolint:gosec // userOf keeps it below 2^31
	}
	return c
}

// labels are the pod's, by which policies select it.
func labels(pod *corev1.Pod) map[string]string {
	all := map[string]string{}
	for key, value := range pod.Labels {
		if key != "" {
			all[key] = value
		}
	}
	return all
}

// declared is what the names of the application's ports say that they carry.
func declared(pod *corev1.Pod) []config.CapturedPort {
	var all []config.CapturedPort
	for _, p := range ports(pod) {
		protocol := protocolOf(pod, p)
		if protocol != "" {
			all = append(all, config.CapturedPort{Port: p, Protocol: protocol})
		}
	}
	return all
}

// ports are the application's TCP ports, in order and each once.
func ports(pod *corev1.Pod) []uint16 {
	var all []uint16
	for _, c := range running(pod) {
		for _, p := range c.Ports {
			if p.Protocol != corev1.ProtocolUDP && p.Protocol != corev1.ProtocolSCTP && p.ContainerPort > 0 && p.ContainerPort <= 65535 {
				all = append(all, uint16(p.ContainerPort))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// running are the containers that outlive the start of the pod.
func running(pod *corev1.Pod) []corev1.Container {
	all := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && c.Name != Container {
			all = append(all, c)
		}
	}
	return all
}

// protocolOf reads the convention of port names: a protocol, then perhaps a dash
// and more. Two containers that disagree about a port declare nothing.
func protocolOf(pod *corev1.Pod, port uint16) config.Protocol {
	var found config.Protocol
	for _, c := range running(pod) {
		for _, p := range c.Ports {
			if p.ContainerPort != int32(port) || p.Protocol == corev1.ProtocolUDP {
				continue
			}
			protocol := conventional(p.Name)
			if found != "" && protocol != found {
				return ""
			}
			found = protocol
		}
	}
	return found
}

func conventional(name string) config.Protocol {
	word, _, _ := strings.Cut(name, "-")
	switch word {
	case "http", "http2", "grpc":
		return config.HTTP
	case "tcp", "tls", "https", "mongo", "mysql", "redis":
		return config.TCP
	}
	return ""
}

// jobSuffix is what a CronJob adds to its name: the minutes since 1970.
var jobSuffix = regexp.MustCompile(`-[0-9]{8,}$`)

// Workload is the name of what the pod belongs to, without what is new in every
// rollout and every run.
func Workload(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	switch {
	case owner == nil:
		return or(or(pod.Name, strings.TrimSuffix(pod.GenerateName, "-")), "pod")
	case owner.Kind == "ReplicaSet":
		if hash := pod.Labels["pod-template-hash"]; hash != "" {
			return strings.TrimSuffix(owner.Name, "-"+hash)
		}
	case owner.Kind == "Job":
		return jobSuffix.ReplaceAllString(owner.Name, "")
	}
	return owner.Name
}

// text renders the configuration as the sidecar reads it, having checked it as the
// sidecar does: a pod is refused rather than started with what it can't use.
func (m Mesh) text(c config.Sidecar) (string, error) {
	bare, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	return m.Texts.of(madeOf{string(bare), m}, func() (string, error) {
		if err := valid(c); err != nil {
			return "", err
		}
		var tree map[string]any
		if err := yaml.Unmarshal(bare, &tree); err != nil {
			return "", err
		}
		m.join(tree)
		out, err := yaml.Marshal(tree)
		return string(out), err
	})
}

// valid checks with an identity and a source of policies that need no control
// plane, for there are no annotations that could make those wrong.
func valid(c config.Sidecar) error {
	c.Spec.Identity = config.Identity{WorkloadAPI: &config.WorkloadAPI{}}
	c.Spec.Policies = &config.Policies{DenyAll: true}
	out, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	_, _, err = config.ParseSidecar("the sidecar's configuration", out)
	if invalid, ok := errors.AsType[*config.Invalid](err); ok {
		invalid.Problems = slices.DeleteFunc(invalid.Problems, func(p config.Problem) bool { return p.Severity != config.Error })
	}
	return err
}
