package mutate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// An Annotation is one that pods and namespaces may have. That of the pod counts
// first.
type Annotation struct {
	// Name begins with [Prefix].
	Name string
	// Default is what holds without it, Help what it says.
	Default, Help string

	set func(*settings, string) error
}

// Annotations lists all that there are, ordered by name.
func Annotations() []Annotation {
	all := slices.Concat(captureAnnotations(), sidecarAnnotations(), resourceAnnotations())
	slices.SortFunc(all, func(a, b Annotation) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func captureAnnotations() []Annotation {
	return []Annotation{
		{Prefix + "capture", "the injector's `--capture`, `init`", "Who redirects traffic to the sidecar: `init`, a container with NET_ADMIN that ends before the others start; `cni`, something on the node; `none`, nobody.", func(s *settings, v string) error {
			return oneOf(&s.capture, v, captureInit, captureCNI, captureNone)
		}},
		{Prefix + "listen", "none", "With `capture: none`: `PORT:APPLICATION-PORT`, with commas between several, where the sidecar takes calls for the application, which then listens on 127.0.0.1.", func(s *settings, v string) error {
			return parsed(&s.listen, v, listening)
		}},
		{Prefix + "exclude-inbound-ports", "none", "Ports of the application whose calls pass by the sidecar.", func(s *settings, v string) error {
			return parsed(&s.excludeInboundPorts, v, port)
		}},
		{Prefix + "exclude-inbound-cidrs", "none", "Networks of callers whose calls pass by the sidecar.", func(s *settings, v string) error {
			return parsed(&s.excludeInboundCIDRs, v, network)
		}},
		{Prefix + "exclude-outbound-ports", "none", "Ports that the application calls past the sidecar.", func(s *settings, v string) error {
			return parsed(&s.excludeOutboundPorts, v, port)
		}},
		{Prefix + "exclude-outbound-cidrs", "none", "Networks that the application calls past the sidecar.", func(s *settings, v string) error {
			return parsed(&s.excludeOutboundCIDRs, v, network)
		}},
		{Prefix + "exclude-uids", "none", "Users of the pod whose calls pass by the sidecar.", func(s *settings, v string) error {
			return parsed(&s.excludeUIDs, v, user)
		}},
		{Prefix + "unknown-destinations", "`Refuse`", "What becomes of calls to addresses that are not in the mesh: `Refuse` or `Passthrough`, in plaintext.", func(s *settings, v string) error {
			return oneOf(&s.unknown, v, config.UnknownRefuse, config.UnknownPassthrough)
		}},
	}
}

func sidecarAnnotations() []Annotation {
	return []Annotation{
		{Prefix + "image", "the injector's `--image`", "The sidecar's image.", func(s *settings, v string) error {
			if v == "" || strings.ContainsAny(v, " \t\n$") {
				return fmt.Errorf("%q is not an image", v)
			}
			s.image = v
			return nil
		}},
		{Prefix + "image-pull-policy", "`IfNotPresent`", "`Always`, `IfNotPresent` or `Never`.", func(s *settings, v string) error {
			return oneOf(&s.pullPolicy, v, string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever))
		}},
		{Prefix + "mtls", "what MeshConfig says", "`Strict` refuses plaintext, `Permissive` takes it, without an identity.", func(s *settings, v string) error {
			return oneOf(&s.mtls, v, config.Strict, config.Permissive)
		}},
		{Prefix + "quic", "`disabled`", "`enabled` takes hops of the mesh over UDP too, on port 15008.", func(s *settings, v string) error {
			return enabled(&s.quic, v)
		}},
		{Prefix + "rewrite-probes", "`enabled`", "`disabled` leaves probes as they are; exclude their ports, or they are refused.", func(s *settings, v string) error {
			return enabled(&s.rewriteProbes, v)
		}},
		{Prefix + "access-log", "`All`", "Which allowed calls are logged: `All` or `None`. Refused ones always are.", func(s *settings, v string) error {
			return oneOf(&s.accessLog, v, config.LogAll, config.LogNone)
		}},
		{Prefix + "log-level", "`info`", "The least severe event of the sidecar's process log: `debug`, `info`, `warn` or `error`.", func(s *settings, v string) error {
			return oneOf(&s.logLevel, v, "debug", "info", "warn", "error")
		}},
		{Prefix + "processors", "`1`", "How many processors the sidecar uses at the same time.", func(s *settings, v string) error {
			n, err := strconv.ParseUint(v, 10, 8)
			if err != nil || n == 0 {
				return fmt.Errorf("%q is not a number from 1 to 255", v)
			}
			s.processors = int(n)
			return nil
		}},
		{Prefix + "drain-timeout", "5 s less than the pod's grace period", "How long open connections may take to end when the pod ends.", func(s *settings, v string) error {
			return duration(&s.drain, v)
		}},
		{Prefix + "startup-timeout", "`2m`", "How long the sidecar may wait for its identity and its first policies before it is started anew.", func(s *settings, v string) error {
			return duration(&s.startup, v)
		}},
	}
}

func resourceAnnotations() []Annotation {
	return []Annotation{
		{Prefix + "cpu-request", "`20m`", "CPU time that the sidecar is promised.", func(s *settings, v string) error {
			return quantity(&s.cpuRequest, v)
		}},
		{Prefix + "cpu-limit", "none", "CPU time that it may use.", func(s *settings, v string) error {
			return quantity(&s.cpuLimit, v)
		}},
		{Prefix + "memory-request", "`64Mi`", "Memory that it is promised.", func(s *settings, v string) error {
			return quantity(&s.memoryRequest, v)
		}},
		{Prefix + "memory-limit", "`256Mi`", "Memory that it may use; its garbage collector keeps to nine tenths of it.", func(s *settings, v string) error {
			return quantity(&s.memoryLimit, v)
		}},
	}
}

func oneOf[T ~string](to *T, value string, allowed ...T) error {
	if !slices.Contains(allowed, T(value)) {
		return fmt.Errorf("%q is not known here; write one of %q", value, allowed)
	}
	*to = T(value)
	return nil
}

func enabled(to *bool, value string) error {
	var word string
	err := oneOf(&word, value, Enabled, Disabled)
	if err == nil {
		*to = word == Enabled
	}
	return err
}

func parsed[T any](to *[]T, value string, parse func(string) (T, error)) error {
	all, err := list(value, parse)
	*to = all
	return err
}

// duration takes at most an hour: whoever wants more has made a mistake.
func duration(to *time.Duration, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > time.Hour {
		return fmt.Errorf("%q is not a duration up to an hour, such as 30s", value)
	}
	*to = d
	return nil
}

func quantity(to *resource.Quantity, value string) error {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() <= 0 {
		return fmt.Errorf("%q is not an amount such as 100m or 128Mi", value)
	}
	*to = q
	return nil
}
