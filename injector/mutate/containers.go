package mutate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// Fields that the API server has defaults for are written out below: a pod that
// comes back from it is then equal to what is made of it again.

// containers are those that are added, in the order in which they start.
func (m Mesh) containers(s settings, text string, guaranteed bool) []corev1.Container {
	// The kubelet replaces $(NAME) in the environment, and $$ by $.
	env := []corev1.EnvVar{{Name: configVariable, Value: strings.ReplaceAll(text, "$", "$$")}}
	res := s.resources(guaranteed)
	var all []corev1.Container
	if s.capture == captureInit {
		all = append(all, s.initContainer(env, res))
	}
	return append(all, m.sidecarContainer(s, env, res))
}

// initContainer redirects traffic, proves that it passes, and ends. The kernel
// wants NET_ADMIN for that, and a capability that is added counts for root alone.
func (s settings) initContainer(env []corev1.EnvVar, res corev1.ResourceRequirements) corev1.Container {
	security := hardened(0)
	security.RunAsNonRoot = new(bool)
	security.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
	return corev1.Container{
		Name: InitContainer, Image: s.image, ImagePullPolicy: corev1.PullPolicy(s.pullPolicy),
		Args: []string{"capture", "--config", "env:" + configVariable}, Env: env, Resources: res, SecurityContext: security,
		VolumeMounts:           []corev1.VolumeMount{noAPI()},
		TerminationMessagePath: corev1.TerminationMessagePathDefault,
		// What it printed last is what went wrong.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func (m Mesh) sidecarContainer(s settings, env []corev1.EnvVar, res corev1.ResourceRequirements) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	env = append(slices.Clip(env), podName(), memoryBound(s.memoryLimit))
	args := []string{"run", "--config", "env:" + configVariable, "--log-format", "json"}
	if s.logLevel != "info" {
		args = append(args, "--log-level", s.logLevel)
	}
	return corev1.Container{
		Name: Container, Image: s.image, ImagePullPolicy: corev1.PullPolicy(s.pullPolicy), RestartPolicy: &always,
		Args: args, Env: env, Resources: res, SecurityContext: hardened(s.uid), VolumeMounts: m.mounts(),
		Ports: []corev1.ContainerPort{
			{Name: "outrider-prom", ContainerPort: MetricsPort, Protocol: corev1.ProtocolTCP},
			{Name: "outrider-health", ContainerPort: HealthPort, Protocol: corev1.ProtocolTCP},
		},
		// Nothing of the application starts before this one says yes.
		StartupProbe: health("/healthz/ready", 1, int32(s.startup.Seconds())),
		// Not started anew for want of readiness: that is for the control plane
		// and the peers to mend.
		ReadinessProbe:           health("/healthz/ready", 5, 3),
		LivenessProbe:            health("/healthz/live", 10, 3),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// hardened is what Pod Security calls restricted.
func hardened(uid int64) *corev1.SecurityContext {
	yes, no, group := true, false, uid
	return &corev1.SecurityContext{
		RunAsUser: &uid, RunAsGroup: &group, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func health(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(HealthPort), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 2, SuccessThreshold: 1,
	}
}

// podName is by which the control plane knows the sidecar. A pod of a Deployment has no
// name yet when it is injected.
func podName() corev1.EnvVar {
	return corev1.EnvVar{Name: podVariable, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"},
	}}
}

// memoryBound keeps the garbage collector below the limit, at which the kernel
// would end the sidecar. A tenth is for stacks and what the runtime doesn't count.
func memoryBound(limit resource.Quantity) corev1.EnvVar {
	return corev1.EnvVar{Name: "GOMEMLIMIT", Value: fmt.Sprintf("%d", limit.Value()/10*9)}
}

// guaranteedCPU is what the sidecar of a pod gets whose containers all have equal
// requests and limits, if nothing says how much: with less, the pod would lose
// that class, and its processors with it.
const guaranteedCPU = "200m"

func (s settings) resources(guaranteed bool) corev1.ResourceRequirements {
	request := corev1.ResourceList{corev1.ResourceCPU: s.cpuRequest, corev1.ResourceMemory: s.memoryRequest}
	limit := corev1.ResourceList{corev1.ResourceMemory: s.memoryLimit}
	if !s.cpuLimit.IsZero() {
		limit[corev1.ResourceCPU] = s.cpuLimit
	}
	if guaranteed {
		if s.cpuLimit.IsZero() {
			limit[corev1.ResourceCPU] = larger(s.cpuRequest, resource.MustParse(guaranteedCPU))
		}
		request = limit.DeepCopy()
	}
	return corev1.ResourceRequirements{Requests: request, Limits: limit}
}

func larger(a, b resource.Quantity) resource.Quantity {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

// guaranteed tells whether every container has limits of its own that it is also
// promised, which is what Kubernetes calls the class Guaranteed. A request that is
// not there is equal to its limit.
func guaranteed(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				limit, limited := c.Resources.Limits[name]
				request, requested := c.Resources.Requests[name]
				if !limited || limit.IsZero() || requested && request.Cmp(limit) != 0 {
					return false
				}
			}
		}
	}
	return true
}

// spire tells whether identities come over a Workload API in the pod.
func (m Mesh) spire() bool { return m.identity().Provider == config.ProviderWorkloadAPI }
