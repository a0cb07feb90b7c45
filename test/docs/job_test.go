package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const loadJob = "manifests/examples/load-job.yaml"

// The manifest in the parts that this project writes. A field that is not here is a
// slip of the pen, or a decision that belongs here too.
type (
	meta struct {
		Name      string            `yaml:"name"`
		Namespace string            `yaml:"namespace"`
		Labels    map[string]string `yaml:"labels"`
		// Annotations are ours alone.
		Annotations map[string]string `yaml:"annotations"`
	}
	configMap struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   meta              `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
	}
	job struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   meta   `yaml:"metadata"`
		Spec       struct {
			BackoffLimit          *int `yaml:"backoffLimit"`
			ActiveDeadlineSeconds int  `yaml:"activeDeadlineSeconds"`
			Template              struct {
				Metadata meta    `yaml:"metadata"`
				Spec     podSpec `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	podSpec struct {
		RestartPolicy                string `yaml:"restartPolicy"`
		ServiceAccountName           string `yaml:"serviceAccountName"`
		AutomountServiceAccountToken *bool  `yaml:"automountServiceAccountToken"`
		SecurityContext              struct {
			RunAsNonRoot   bool              `yaml:"runAsNonRoot"`
			SeccompProfile map[string]string `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Containers []container `yaml:"containers"`
		Volumes    []struct {
			Name      string            `yaml:"name"`
			ConfigMap map[string]string `yaml:"configMap"`
		} `yaml:"volumes"`
	}
	container struct {
		Name      string   `yaml:"name"`
		Image     string   `yaml:"image"`
		Pull      string   `yaml:"imagePullPolicy"`
		Args      []string `yaml:"args"`
		Resources struct {
			Requests map[string]string `yaml:"requests"`
			Limits   map[string]string `yaml:"limits"`
		} `yaml:"resources"`
		SecurityContext struct {
			AllowPrivilegeEscalation *bool               `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool                `yaml:"readOnlyRootFilesystem"`
			Capabilities             map[string][]string `yaml:"capabilities"`
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
)

func readJob(t *testing.T) (c configMap, j job) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, loadJob))
	if err != nil {
		t.Fatal(err)
	}
	docs, problems := strict.Split(loadJob, text)
	if len(docs) != 2 {
		t.Fatalf("%d documents, want a ConfigMap and a Job", len(docs))
	}
	problems = append(problems, docs[0].Decode(&c)...)
	problems = append(problems, docs[1].Decode(&j)...)
	for _, p := range problems {
		t.Error(p)
	}
	if c.APIVersion+" "+c.Kind+", "+j.APIVersion+" "+j.Kind != "v1 ConfigMap, batch/v1 Job" {
		t.Errorf("it is %s %s and %s %s", c.APIVersion, c.Kind, j.APIVersion, j.Kind)
	}
	return c, j
}

// What the Job runs: the image that the Dockerfile makes, with a budget file that is
// accepted, from where it is mounted.
func TestTheLoadJobRunsItsBudget(t *testing.T) {
	config, j := readJob(t)
	pod := j.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.Volumes) != 1 || len(config.Data) != 1 {
		t.Fatalf("%d containers, %d volumes, %d files, want one of each", len(pod.Containers), len(pod.Volumes), len(config.Data))
	}
	c := pod.Containers[0]
	dockerTarget(t, []string{"--target", c.Image})
	if !slices.Equal(c.Args[:1], []string{"gate"}) || len(c.VolumeMounts) != 1 || len(c.Args) != 2 {
		t.Fatalf("arguments %q, mounts %+v", c.Args, c.VolumeMounts)
	}
	mount := c.VolumeMounts[0]
	if mount.Name != pod.Volumes[0].Name || pod.Volumes[0].ConfigMap["name"] != config.Metadata.Name ||
		config.Metadata.Namespace != j.Metadata.Namespace || !mount.ReadOnly {
		t.Errorf("%+v mounts %+v, of %+v", mount, pod.Volumes[0], config.Metadata)
	}
	file, found := strings.CutPrefix(c.Args[1], mount.MountPath+"/")
	text, there := config.Data[file]
	if !found || !there {
		t.Fatalf("%s is not below %s, or not in the ConfigMap", c.Args[1], mount.MountPath)
	}
	f, err := budget.ParseFile(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Spec.Targets) < 2 {
		t.Error("without targets it would start a mesh of its own, for which the image has no place")
	}
}

// What the Job may do: nothing.
func TestTheLoadJobHasNoPrivileges(t *testing.T) {
	_, j := readJob(t)
	pod := j.Spec.Template.Spec
	c := pod.Containers[0].SecurityContext
	for what, held := range map[string]bool{
		"runs as another than root":                pod.SecurityContext.RunAsNonRoot,
		"has the runtime's seccomp profile":        pod.SecurityContext.SeccompProfile["type"] == "RuntimeDefault",
		"has no token of a service account":        pod.AutomountServiceAccountToken != nil && !*pod.AutomountServiceAccountToken,
		"gets no privileges":                       c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation,
		"has a root file system that is read-only": c.ReadOnlyRootFilesystem,
		"has no capabilities":                      slices.Equal(c.Capabilities["drop"], []string{"ALL"}) && len(c.Capabilities) == 1,
		"is not repeated":                          j.Spec.BackoffLimit != nil && *j.Spec.BackoffLimit == 0 && pod.RestartPolicy == "Never",
		"ends":                                     j.Spec.ActiveDeadlineSeconds > 0,
	} {
		if !held {
			t.Errorf("it is not so that the Job %s", what)
		}
	}
	if limits := pod.Containers[0].Resources.Limits; limits["cpu"] != "" || limits["memory"] == "" {
		t.Errorf("limits %v: a generator that is throttled measures itself, and memory wants a bound", limits)
	}
}

// runAsNonRoot needs a number: a name cannot be checked by the kubelet. And it must
// not be the sidecar's own, which traffic capture lets pass: what is measured would
// then go past the sidecar of the Job.
func TestTheLoadImageIsNotTheSidecarsUser(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)FROM scratch AS (\S+)\n.*?USER (\d+):\d+\n`).FindAllSubmatch(text, -1) {
		users[string(found[1])] = string(found[2])
	}
	if users["outrider"] == "" || users["outrider-load"] == "" || users["outrider-load"] == "0" || users["outrider"] == users["outrider-load"] {
		t.Errorf("the images run as %v", users)
	}
}
