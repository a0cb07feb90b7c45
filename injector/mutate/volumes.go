package mutate

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// tokenSeconds is how long a token lasts; the kubelet brings a new one after four
// fifths of it. It is asked for when the SVID is renewed, so it may be short.
const tokenSeconds = 3600

// cacheBytes is room for two sets of documents, of which one replaces the other.
const cacheBytes = "32Mi"

func ourVolume(name string) bool {
	switch name {
	case tokenVolume, trustVolume, cacheVolume, noAPIVolume, workloadVolume:
		return true
	}
	return false
}

// volumes are what the sidecar's containers mount. Those that hold nothing for
// long are in memory: on a disk they would keep the cluster's autoscaler from
// moving the pod.
func (m Mesh) volumes() []corev1.Volume {
	readable := int32(0o644)
	all := []corev1.Volume{
		{Name: cacheVolume, VolumeSource: corev1.VolumeSource{EmptyDir: inMemory(cacheBytes)}},
		{Name: noAPIVolume, VolumeSource: corev1.VolumeSource{EmptyDir: inMemory("4Ki")}},
	}
	if m.spire() {
		yes := true
		return append(all, corev1.Volume{Name: workloadVolume, VolumeSource: corev1.VolumeSource{
			CSI: &corev1.CSIVolumeSource{Driver: m.identity().Driver, ReadOnly: &yes},
		}})
	}
	seconds := int64(tokenSeconds)
	return append(all,
		corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: &readable,
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: TokenAudience, ExpirationSeconds: &seconds, Path: tokenFile,
			}}},
		}}},
		corev1.Volume{Name: trustVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: TrustConfigMap}, DefaultMode: &readable,
			Items: []corev1.KeyToPath{{Key: trustFile, Path: trustFile}},
		}}},
	)
}

func inMemory(bytes string) *corev1.EmptyDirVolumeSource {
	size := resource.MustParse(bytes)
	return &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size}
}

func (m Mesh) mounts() []corev1.VolumeMount {
	all := []corev1.VolumeMount{{Name: cacheVolume, MountPath: cacheDir}, noAPI()}
	if m.spire() {
		return append(all, corev1.VolumeMount{Name: workloadVolume, MountPath: workloadDir, ReadOnly: true})
	}
	return append(all,
		corev1.VolumeMount{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true},
		corev1.VolumeMount{Name: trustVolume, MountPath: trustDir, ReadOnly: true})
}

// noAPI lies where the API server would otherwise mount a token for itself.
func noAPI() corev1.VolumeMount {
	return corev1.VolumeMount{Name: noAPIVolume, MountPath: path.Clean(apiTokenDir), ReadOnly: true}
}
