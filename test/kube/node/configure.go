package node

import (
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/test/kube/node/plan"
	"github.com/outrider-mesh/outrider/test/kube/pki"
)

// certify makes who is who.
func (n *Node) certify() error {
	var err error
	if n.Authority, err = pki.New(n.path("pki")); err != nil {
		return err
	}
	named := func(name string, groups ...string) pkix.Name {
		return pkix.Name{CommonName: name, Organization: groups}
	}
	err = errors.Join(
		n.Authority.Issue("apiserver", named("kube-apiserver"), "127.0.0.1", Address, "10.96.0.1", "localhost", "kubernetes",
			"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		n.Authority.Issue("kubelet-server", named(Name), Address, Name),
		n.Authority.Issue("apiserver-kubelet", named("kube-apiserver-kubelet", "system:masters")),
		n.Authority.Issue("front-proxy", named("front-proxy-client")))
	for name, subject := range map[string]pkix.Name{
		"admin": named("admin", "system:masters"), "controllers": named("system:kube-controller-manager"), "scheduler": named("system:kube-scheduler"),
		"kubelet": named("system:node:"+Name, "system:nodes"), "proxy": named("system:kube-proxy"),
	} {
		err = errors.Join(err, n.Authority.Issue(name, subject))
		_, problem := n.Authority.Kubeconfig(name, n.URL, pki.User{Certificate: name})
		err = errors.Join(err, problem)
	}
	return errors.Join(err, n.adminConfig())
}

// configure writes the files of the node's own programs.
func (n *Node) configure() error {
	at := n.Authority.Path
	kubelet := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + group, "cgroupsPerQOS": true, "enforceNodeAllocatable": []string{"pods"},
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"clusterDNS":               []string{dns}, "clusterDomain": "cluster.local", "resolvConf": n.path("resolv.conf"),
		"authentication":    map[string]any{"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true}, "x509": map[string]any{"clientCAFile": at("ca.crt")}},
		"authorization":     map[string]any{"mode": "Webhook"},
		"tlsCertFile":       at("kubelet-server.crt"),
		"tlsPrivateKeyFile": at("kubelet-server.key"),
		"failSwapOn":        false, "volumePluginDir": "/var/lib/kubelet/plugins",
		// The images are here and nowhere else.
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "imageMinimumGCAge": "240h",
		"evictionHard":              map[string]any{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s", "maxPods": 60,
	}
	proxy := map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
		"clusterCIDR": pods, "hostnameOverride": Name, "bindAddress": "0.0.0.0",
		"healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
		"clientConnection": map[string]any{"kubeconfig": at("proxy.kubeconfig")},
		// They are the whole machine's and not ours to set.
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"nftables":  map[string]any{"minSyncPeriod": "0s", "syncPeriod": "30s"},
	}
	network := map[string]any{
		"cniVersion": "0.4.0", "name": "e2e", "plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type": "host-local", "ranges": []any{[]any{map[string]any{"subnet": pods}}}, "routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	}
	if err := os.MkdirAll(n.path("cni"), 0o755); err != nil {
		return err
	}
	list, err := json.Marshal(network)
	if err != nil {
		return err
	}
	return errors.Join(
		n.yaml("kubelet.yaml", kubelet), n.yaml("proxy.yaml", proxy),
		os.WriteFile(n.path("cni/10-e2e.conflist"), list, 0o600),
		os.WriteFile(n.path("resolv.conf"), []byte("nameserver "+dns+"\n"), 0o600),
		os.WriteFile(n.path("containerd.toml"), []byte(n.containerd()), 0o600))
}

func (n *Node) yaml(name string, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(n.path(name), text, 0o600)
}

// containerd is the configuration of versions 1.6 and 1.7. Scores of the killer of
// memory can't be lowered in every virtual machine, and seccomp is there, AppArmor not.
func (n *Node) containerd() string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  enable_selinux = false
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = %q
`, Library()+"pause:e2e", n.found.plugins, n.path("cni"), n.found.runc)
}

// plan is what process 1 starts, and in which order.
func (n *Node) plan(archives []string) plan.Plan {
	at, k := n.Authority.Path, n.found.kubernetes
	p := plan.Plan{Dir: n.opts.Dir, Hostname: Name, Link: inside, Address: Address, Gateway: gateway}
	add := func(name string, within time.Duration, args ...string) {
		p.Commands = append(p.Commands, plan.Command{Name: name, Args: args, Within: within})
	}
	add("containerd", 0, n.found.containerd, "-c", n.path("containerd.toml"))
	add("etcd", 0, n.found.etcd, "--name=only", "--data-dir="+n.path("etcd/data"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=only=http://127.0.0.1:2380")
	add("kube-apiserver", 0, append([]string{k["kube-apiserver"]}, n.apiServer()...)...)
	for i, a := range archives {
		add(fmt.Sprintf("import-%d", i), time.Minute, "ctr", "-n", "k8s.io", "images", "import", a)
	}
	add("ready", 2*time.Minute, k["kubectl"], "--kubeconfig", at("admin.kubeconfig"), "get", "--raw", "/readyz")
	add("kube-controller-manager", 0, k["kube-controller-manager"], "--kubeconfig="+at("controllers.kubeconfig"),
		"--authentication-kubeconfig="+at("controllers.kubeconfig"), "--authorization-kubeconfig="+at("controllers.kubeconfig"),
		"--bind-address=127.0.0.1", "--service-account-private-key-file="+at("sa.key"), "--root-ca-file="+at("ca.crt"),
		"--use-service-account-credentials", "--leader-elect=false")
	add("kube-scheduler", 0, k["kube-scheduler"], "--kubeconfig="+at("scheduler.kubeconfig"), "--authentication-kubeconfig="+at("scheduler.kubeconfig"),
		"--authorization-kubeconfig="+at("scheduler.kubeconfig"), "--bind-address=127.0.0.1", "--leader-elect=false")
	add("kubelet", 0, k["kubelet"], "--config="+n.path("kubelet.yaml"), "--kubeconfig="+at("kubelet.kubeconfig"), "--node-ip="+Address, "--hostname-override="+Name)
	add("kube-proxy", 0, k["kube-proxy"], "--config="+n.path("proxy.yaml"))
	return p
}

func (n *Node) apiServer() []string {
	at := n.Authority.Path
	return []string{
		"--advertise-address=" + Address, "--bind-address=0.0.0.0", "--secure-port=6443", "--etcd-servers=http://127.0.0.1:2379",
		"--service-cluster-ip-range=" + services, "--client-ca-file=" + at("ca.crt"),
		"--tls-cert-file=" + at("apiserver.crt"), "--tls-private-key-file=" + at("apiserver.key"),
		"--kubelet-client-certificate=" + at("apiserver-kubelet.crt"), "--kubelet-client-key=" + at("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + at("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + at("sa.pub"), "--service-account-signing-key-file=" + at("sa.key"),
		"--requestheader-client-ca-file=" + at("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + at("front-proxy.crt"), "--proxy-client-key-file=" + at("front-proxy.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
	}
}
