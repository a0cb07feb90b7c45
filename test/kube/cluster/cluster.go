// Package cluster starts a real API server on loopback, with etcd behind it: all of
// Kubernetes that can be asked, and nothing that runs pods.
package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/test/kube/pki"
)

// patience is how long a program may take until it answers; the API server takes 4 s
// on a quiet machine.
const patience = 2 * time.Minute

// Options are what a [Cluster] is made of. All are required.
type Options struct {
	// Etcd and APIServer are programs.
	Etcd, APIServer string
	// Dir is where it keeps everything. It is the caller's to remove.
	Dir string
}

// A Cluster is a running API server.
type Cluster struct {
	// URL is where it is.
	URL string
	// Authority has what clients need.
	Authority *pki.Authority
	// Admin is who may do everything.
	Admin *rest.Config

	dir      string
	children []*child.Child
}

// Start returns a cluster that answers, or nothing that runs.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{dir: opts.Dir}
	if err := c.start(ctx, opts); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, opts Options) error {
	ports, err := free(3)
	if err != nil {
		return err
	}
	c.URL = "https://127.0.0.1:" + ports[2]
	if err := c.certify(); err != nil {
		return err
	}
	store, peers := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	err = c.run(ctx, "etcd", opts.Etcd, "--name=only", "--data-dir="+filepath.Join(opts.Dir, "etcd"),
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=only="+peers)
	if err != nil {
		return err
	}
	if err := c.await(ctx, "etcd", &http.Client{Timeout: time.Second}, store+"/health"); err != nil {
		return err
	}
	if err := c.run(ctx, "kube-apiserver", opts.APIServer, c.flags(store, ports[2])...); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return c.await(ctx, "kube-apiserver", client, c.URL+"/readyz")
}

// flags are those of the API server. There is no kubelet to talk to and no Service
// that leads to it.
func (c *Cluster) flags(store, port string) []string {
	at := c.Authority.Path
	return []string{
		"--etcd-servers=" + store, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=Node,RBAC",
		"--client-ca-file=" + at("ca.crt"), "--tls-cert-file=" + at("apiserver.crt"), "--tls-private-key-file=" + at("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + at("sa.pub"), "--service-account-signing-key-file=" + at("sa.key"),
		"--allow-privileged=true", "--cert-dir=" + c.dir,
	}
}

func (c *Cluster) certify() error {
	var err error
	if c.Authority, err = pki.New(filepath.Join(c.dir, "pki")); err != nil {
		return err
	}
	err = errors.Join(
		c.Authority.Issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, "127.0.0.1", "localhost", "kubernetes.default.svc"),
		c.Authority.Issue("admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}))
	if err != nil {
		return err
	}
	path, err := c.Authority.Kubeconfig("admin", c.URL, pki.User{Certificate: "admin"})
	if err != nil {
		return err
	}
	c.Admin, err = clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return err
	}
	c.Admin.QPS, c.Admin.Burst = -1, -1 // tests wait for nobody's turn
	return nil
}

// client is one that waits for nothing but the answer.
func (c *Cluster) client() (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(c.Authority.Path("admin.crt"), c.Authority.Path("admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(c.Authority.Path("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(text)
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}}, nil
}

// run starts a program that writes its log into a file.
func (c *Cluster) run(ctx context.Context, name, path string, args ...string) error {
	log, err := os.Create(c.Log(name))
	if err != nil {
		return err
	}
	defer log.Close()
	// A shell joins both streams in the file; what it becomes is the program.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", append([]string{"-c", `exec "$0" "$@" 2>&1`, path}, args...)...)
	cmd.Stdout = log
	p, err := child.Start(name, cmd)
	if err != nil {
		return err
	}
	c.children = append(c.children, p)
	return nil
}

// Log is the file that a program writes into.
func (c *Cluster) Log(name string) string { return filepath.Join(c.dir, name+".log") }

// await asks until it is answered with 200.
func (c *Cluster) await(ctx context.Context, name string, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if answers(ctx, client, url) {
			return nil
		}
		for _, p := range c.children {
			if err := p.Ended(); err != nil {
				return fmt.Errorf("%w\n%s", err, c.tail(name))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", name, ctx.Err(), c.tail(name))
		}
	}
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// tail is the end of a log.
func (c *Cluster) tail(name string) string {
	const most = 4 << 10
	text, err := os.ReadFile(c.Log(name))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// Close ends everything and waits for it.
func (c *Cluster) Close() {
	for _, p := range slices.Backward(c.children) {
		p.Close()
	}
	c.children = nil
}

// free returns ports of loopback that nobody listens on.
func free(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no port comes twice
		all = append(all, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return all, nil
}
