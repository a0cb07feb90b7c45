package mutate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// defaultGrace is Kubernetes' terminationGracePeriodSeconds.
const defaultGrace = 30

// A site is one place in a pod where the kubelet asks something over the network.
type site struct {
	container *corev1.Container
	kind      string // part of the probe's name
	timeout   time.Duration
	// httpGet, tcp and rpc are where what is asked stands; tcp and rpc are nil
	// for hooks, which can't have them.
	httpGet **corev1.HTTPGetAction
	tcp     **corev1.TCPSocketAction
	rpc     **corev1.GRPCAction
}

func (s site) name() string { return s.container.Name + "/" + s.kind }

// sites lists them. Of init containers only those that keep running have any.
func sites(pod *corev1.Pod) []site {
	var all []site
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if c := &list[i]; c.Name != Container && c.Name != InitContainer {
				all = append(all, probesOf(c)...)
				all = append(all, hooksOf(c, grace(pod))...)
			}
		}
	}
	return all
}

func probesOf(c *corev1.Container) []site {
	var all []site
	for _, p := range []struct {
		kind  string
		probe *corev1.Probe
	}{{"liveness", c.LivenessProbe}, {"readiness", c.ReadinessProbe}, {"startup", c.StartupProbe}} {
		if p.probe != nil {
			all = append(all, site{
				c, p.kind, time.Duration(max(1, p.probe.TimeoutSeconds)) * time.Second,
				&p.probe.HTTPGet, &p.probe.TCPSocket, &p.probe.GRPC,
			})
		}
	}
	return all
}

// hooksOf are the requests at a container's start and end. They may take as long
// as the pod has for ending.
func hooksOf(c *corev1.Container, timeout time.Duration) []site {
	if c.Lifecycle == nil {
		return nil
	}
	var all []site
	for _, h := range []struct {
		kind string
		hook *corev1.LifecycleHandler
	}{{"post-start", c.Lifecycle.PostStart}, {"pre-stop", c.Lifecycle.PreStop}} {
		if h.hook != nil {
			all = append(all, site{container: c, kind: h.kind, timeout: timeout, httpGet: &h.hook.HTTPGet})
		}
	}
	return all
}

func grace(pod *corev1.Pod) time.Duration {
	seconds := int64(defaultGrace)
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = min(max(*s, 1), 600)
	}
	return time.Duration(seconds) * time.Second
}

// original is what a site said before it was rewritten.
type original struct {
	HTTPGet   *corev1.HTTPGetAction   `json:"httpGet,omitempty"`
	TCPSocket *corev1.TCPSocketAction `json:"tcpSocket,omitempty"`
	GRPC      *corev1.GRPCAction      `json:"grpc,omitempty"`
}

// rewrite sends what the kubelet asks to the sidecar, and returns what that has to
// ask and what stood there before, by name. The remarks are about what stays as it
// is although it will be refused.
func rewrite(pod *corev1.Pod, s settings) (asks []config.Probe, before map[string]original, remarks []string) {
	before = map[string]original{}
	for _, at := range sites(pod) {
		ask, port, remark := at.question()
		if remark != "" {
			remarks = append(remarks, fmt.Sprintf("%s: %s", at.name(), remark))
		}
		if port == 0 || slices.Contains(s.excludeInboundPorts, port) {
			continue
		}
		before[at.name()] = at.take()
		*at.httpGet = &corev1.HTTPGetAction{Path: "/probe/" + at.name(), Port: intstr.FromInt32(HealthPort), Scheme: corev1.URISchemeHTTP}
		asks = append(asks, ask)
	}
	return asks, before, remarks
}

// take empties the site.
func (s site) take() original {
	o := original{HTTPGet: *s.httpGet}
	*s.httpGet = nil
	if s.tcp != nil {
		o.TCPSocket, *s.tcp = *s.tcp, nil
		o.GRPC, *s.rpc = *s.rpc, nil
	}
	return o
}

// restore puts back what rewrite took.
func restore(pod *corev1.Pod, before map[string]original) {
	for _, at := range sites(pod) {
		o, ok := before[at.name()]
		if !ok || *at.httpGet == nil || (*at.httpGet).Path != "/probe/"+at.name() {
			continue // somebody has changed it since
		}
		*at.httpGet = o.HTTPGet
		if at.tcp != nil {
			*at.tcp, *at.rpc = o.TCPSocket, o.GRPC
		}
	}
}

// question is what the sidecar has to ask, and of which port; 0 when it need not:
// commands run in the container, and another host is asked as before.
func (s site) question() (ask config.Probe, port uint16, remark string) {
	ask = config.Probe{Name: s.name(), Timeout: s.timeout}
	switch {
	case *s.httpGet != nil:
		h := *s.httpGet
		if h.Host != "" {
			return ask, 0, ""
		}
		port, remark = s.port(h.Port)
		ask.HTTP = &config.HTTPProbe{Port: port, Path: h.Path, TLS: h.Scheme == corev1.URISchemeHTTPS}
		for _, f := range h.HTTPHeaders {
			ask.HTTP.Headers = append(ask.HTTP.Headers, config.ProbeHeader{Name: f.Name, Value: f.Value})
		}
	case s.tcp != nil && *s.tcp != nil:
		if (*s.tcp).Host != "" {
			return ask, 0, ""
		}
		port, remark = s.port((*s.tcp).Port)
		ask.TCP = &config.TCPProbe{Port: port}
	case s.rpc != nil && *s.rpc != nil:
		port, remark = s.port(intstr.FromInt32((*s.rpc).Port))
		ask.GRPC = &config.GRPCProbe{Port: port}
		if service := (*s.rpc).Service; service != nil {
			ask.GRPC.Service = *service
		}
	}
	return ask, port, remark
}

// port is a number, or the name of one of the container's ports.
func (s site) port(of intstr.IntOrString) (port uint16, remark string) {
	number := of.IntVal
	if of.Type == intstr.String {
		i := slices.IndexFunc(s.container.Ports, func(p corev1.ContainerPort) bool { return p.Name == of.StrVal })
		if i < 0 {
			return 0, fmt.Sprintf("the container has no port called %q, so the probe is left as it is and fails", of.StrVal)
		}
		number = s.container.Ports[i].ContainerPort
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Sprintf("%d is not a port, so the probe is left as it is and fails", number)
	}
	return uint16(number), ""
}
