package mutate

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Guard is which ports of its pod a sidecar takes calls for.
type Guard struct {
	// Captures tells that it is all of them but Ports; otherwise it is Ports.
	Captures bool
	Ports    []uint16
}

// GuardOf reads what the sidecar of a pod guards, and returns nil for a pod without one.
// It goes by the container and its environment, which unlike annotations nobody can
// change once the pod is there. A configuration that can't be read is taken for one that
// captures everything: a call that fails is better than one in plaintext.
func GuardOf(pod *corev1.Pod) *Guard {
	for _, c := range pod.Spec.InitContainers {
		if c.Name != Container {
			continue
		}
		for _, e := range c.Env {
			if e.Name == configVariable {
				return guardOf(e.Value)
			}
		}
	}
	return nil
}

// configured is what of a sidecar's configuration says which calls come to it.
type configured struct {
	Spec struct {
		Inbound []struct {
			Listen  string `yaml:"listen"`
			Capture bool   `yaml:"capture"`
		} `yaml:"inbound"`
		Capture struct {
			Inbound struct {
				ExcludePorts []uint16 `yaml:"excludePorts"`
			} `yaml:"inbound"`
		} `yaml:"capture"`
	} `yaml:"spec"`
}

func guardOf(text string) *Guard {
	var c configured
	if yaml.Unmarshal([]byte(text), &c) != nil || len(c.Spec.Inbound) == 0 {
		return &Guard{Captures: true}
	}
	ports := map[uint16]bool{}
	for _, in := range c.Spec.Inbound {
		if in.Capture {
			own := []uint16{MetricsPort, HealthPort}
			g := &Guard{Captures: true, Ports: append(own, c.Spec.Capture.Inbound.ExcludePorts...)}
			slices.Sort(g.Ports)
			return g
		}
		port, err := strconv.ParseUint(in.Listen[strings.LastIndexByte(in.Listen, ':')+1:], 10, 16)
		if err == nil {
			ports[uint16(port)] = true
		}
	}
	return &Guard{Ports: slices.Sorted(maps.Keys(ports))}
}

// Declared is what the ports of a pod's application carry, as far as their names say.
func Declared(pod *corev1.Pod) map[uint16]config.Protocol {
	all := map[uint16]config.Protocol{}
	for _, p := range declared(pod) {
		all[p.Port] = p.Protocol
	}
	return all
}

// Protocol is what a port of a service is declared to carry, by its appProtocol or else
// by its name; empty: nothing is declared. It is the convention that holds for a pod's
// ports too.
func Protocol(appProtocol *string, name string) config.Protocol {
	if appProtocol == nil {
		return conventional(name)
	}
	word := strings.ToLower(*appProtocol)
	switch word {
	case "kubernetes.io/h2c", "kubernetes.io/ws": // KEP-3726
		return config.HTTP
	case "kubernetes.io/wss":
		return config.TCP
	}
	return conventional(word)
}
