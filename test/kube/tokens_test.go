package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

func (w *world) replicaSet(t *testing.T, namespace, name string) *appsv1.ReplicaSet {
	t.Helper()
	labels := map[string]string{"app": name}
	made, err := w.client.AppsV1().ReplicaSets(namespace).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	return made
}

// pod makes one that no webhook is for.
func (w *world) pod(t *testing.T, namespace, name, account string) *corev1.Pod {
	t.Helper()
	w.account(t, namespace, account)
	made, err := w.client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// tokens asks for identities with tokens of every kind.
func (w *world) tokens(t *testing.T, r *replica) {
	w.namespace(t, "bank", nil, nil)
	pod := w.pod(t, "bank", "teller-1", "teller")
	gone := w.pod(t, "bank", "teller-2", "teller")
	claims := map[string]any{
		"iss": "https://kubernetes.default.svc.cluster.local", "aud": []string{mutate.TokenAudience}, "sub": "system:serviceaccount:bank:teller",
		"kubernetes.io": map[string]any{
			"namespace": "bank", "pod": map[string]any{"name": pod.Name, "uid": pod.UID},
			"serviceaccount": map[string]any{"name": "teller", "uid": w.uid(t, "bank", "teller")},
		},
	}
	system1 := w.pod(t, "kube-system", "agent", "agent")
	cases := []struct {
		name, token, want string // want is the identity, or what the refusal says
		good              bool
	}{
		{"a pod's token", w.token(t, "bank", "teller", mutate.TokenAudience, pod), "spiffe://cluster.local/ns/bank/sa/teller", true},
		{"a token of the API server's own key", w.forge(t, claims, time.Now().Add(time.Hour)), "spiffe://cluster.local/ns/bank/sa/teller", true},
		{"one that has expired", w.forge(t, claims, time.Now().Add(-time.Minute)), "not accepted", false},
		{"one for another audience", w.token(t, "bank", "teller", "vault", pod), "not accepted", false},
		{"one for the API server itself", w.token(t, "bank", "teller", "", pod), "not accepted", false},
		{"one that is bound to no pod", w.token(t, "bank", "teller", mutate.TokenAudience, nil), "not accepted", false},
		{"one that somebody has changed", w.token(t, "bank", "teller", mutate.TokenAudience, pod) + "x", "not accepted", false},
		{"one of a namespace that is not in the mesh", w.token(t, "kube-system", "agent", mutate.TokenAudience, system1), "gets no identity", false},
		{"none that anybody knows", "nonsense", "not accepted", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := w.ask(t, r, c.token)
			w.eventually(t, 30*time.Second, c.name, func() (bool, string) {
				snap := s.Current()
				if c.good {
					return snap.Ready() && snap.SVID.ID.String() == c.want, errText(snap.Err)
				}
				return snap.SVID == nil && strings.Contains(errText(snap.Err), c.want), errText(snap.Err)
			})
			if snap := s.Current(); c.good && snap.Ready() {
				err := mtls.Verify(identity.Peer{ID: snap.SVID.ID, Chain: snap.SVID.Certificates}, snap, time.Now())
				w.check(t, err == nil, "%v", err)
			}
		})
	}
	w.check(t, len(cases) >= 9, "%d cases", len(cases))
	w.deleted(t, r, gone)
	w.check(t, r.metric(t, `outrider_injector_svids_issued_total`) >= 2, "none are counted")
	w.remove(t, pod)
	w.remove(t, system1)
}

// deleted is the token of a pod that was there: the API server goes on believing it
// for ten seconds, which it caches.
func (w *world) deleted(t *testing.T, r *replica, pod *corev1.Pod) {
	t.Helper()
	token := w.token(t, "bank", "teller", mutate.TokenAudience, pod)
	s := w.ask(t, r, token)
	w.eventually(t, 30*time.Second, "while the pod is there", func() (bool, string) { return s.Current().Ready(), errText(s.Current().Err) })
	w.remove(t, pod)
	w.eventually(t, time.Minute, "once it is gone", func() (bool, string) {
		s := w.once(t, r, token)
		return s.SVID == nil && strings.Contains(errText(s.Err), "not accepted"), errText(s.Err)
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ask asks a replica as a sidecar does, until the test ends.
func (w *world) ask(t *testing.T, r *replica, token string) *meshca.Source {
	t.Helper()
	s := w.source(t, r, token)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// once asks until there is an answer, good or bad.
func (w *world) once(t *testing.T, r *replica, token string) *identity.Snapshot {
	t.Helper()
	s := w.source(t, r, token)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	snap := s.Current()
	for snap.SVID == nil && !strings.Contains(errText(snap.Err), "not accepted") && ctx.Err() == nil {
		select {
		case <-snap.Superseded():
		case <-ctx.Done():
		}
		snap = s.Current()
	}
	cancel()
	running.Wait()
	return snap
}

func (w *world) source(t *testing.T, r *replica, token string) *meshca.Source {
	t.Helper()
	cm, err := w.client.CoreV1().ConfigMaps("default").Get(t.Context(), kube.TrustConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"token": token, "ca.pem": cm.Data[kube.TrustKey]} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := meshca.New(meshca.Options{
		Address: r.issuer, Server: spiffeid.RequireFromString(mutate.ControlPlaneID(mutate.DefaultTrustDomain, system)),
		Token: filepath.Join(dir, "token"), TrustAnchors: filepath.Join(dir, "ca.pem"),
		MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) uid(t *testing.T, namespace, account string) string {
	t.Helper()
	a, err := w.client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), account, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(a.UID)
}

// forge makes a token with the API server's own key, since none that it makes expires
// in less than ten minutes.
func (w *world) forge(t *testing.T, claims map[string]any, expires time.Time) string {
	t.Helper()
	text, err := os.ReadFile(w.Authority.Path("sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	claims["exp"], claims["iat"], claims["nbf"] = expires.Unix(), expires.Add(-time.Hour).Unix(), expires.Add(-time.Hour).Unix()
	encode := func(v any) string {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(out)
	}
	input := encode(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + encode(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// failover has a second replica take over from a first that is killed, and both do
// everything that needs no leader all the time.
func (w *world) failover(t *testing.T, a *replica) {
	holder := func() string {
		lease, err := w.client.CoordinationV1().Leases(system).Get(t.Context(), injector.Name, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	w.check(t, holder() == "a", "the leader is %q", holder())
	b := w.replica(t, "b")
	w.ready(t, b)
	w.check(t, holder() == "a", "a second replica has become the leader: %q", holder())
	pod := w.pod(t, "bank", "teller-3", "teller")
	defer w.remove(t, pod)
	for _, r := range []*replica{a, b} {
		s := w.ask(t, r, w.token(t, "bank", "teller", mutate.TokenAudience, pod))
		w.eventually(t, 30*time.Second, r.name+" issues", func() (bool, string) { return s.Current().Ready(), errText(s.Current().Err) })
	}
	w.check(t, !strings.Contains(a.said(t), "is forbidden"), "what it may not do: %s", a.said(t))
	before := w.anchors(t)
	a.kill(t)
	w.eventually(t, time.Minute, "b leads", func() (bool, string) { return holder() == "b", holder() })
	w.route(t, b)
	w.namespace(t, "after", map[string]string{mutate.Label: mutate.Enabled}, nil)
	w.eventually(t, time.Minute, "b tells a new namespace of the roots", func() (bool, string) { return w.anchored(t, "after") })
	w.check(t, w.anchors(t) == before, "the root has changed with the leader")
	var made *corev1.Pod
	w.eventually(t, time.Minute, "b injects", func() (bool, string) {
		var err error
		made, err = w.client.CoreV1().Pods("after").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
		}, metav1.CreateOptions{})
		return err == nil && injected(made), errText(err)
	})
	c := w.replica(t, "c")
	w.ready(t, c)
	b.child.Close() // it says that it goes
	w.eventually(t, 10*time.Second, "c leads at once", func() (bool, string) { return holder() == "c", holder() })
	for _, r := range []*replica{b, c} {
		w.check(t, !strings.Contains(r.said(t), "is forbidden"), "what it may not do: %s", r.said(t))
	}
}

// anchors are the roots that namespaces are told of.
func (w *world) anchors(t *testing.T) string {
	t.Helper()
	cm, err := w.client.CoreV1().ConfigMaps("default").Get(t.Context(), kube.TrustConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cm.Data[kube.TrustKey]
}
