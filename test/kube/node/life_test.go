package node_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// pods are those of an application that are not about to end.
func (w *world) pods(t *testing.T, namespace, app string) []corev1.Pod {
	t.Helper()
	all, err := w.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// within runs a shell on the node.
func (w *world) within(t *testing.T, script string) string {
	t.Helper()
	var complaints bytes.Buffer
	cmd := w.Command(t.Context(), "sh", "-c", script)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, &complaints)
	}
	return string(bytes.TrimSpace(out))
}

// sidecar is the process of a pod's sidecar, as the node numbers it.
func (w *world) sidecar(t *testing.T, pod string) string {
	t.Helper()
	return w.within(t, `for p in /proc/[0-9]*; do
		if tr '\0' ' ' <$p/cmdline | grep -q '^/outrider run' && [ "$(cat $p/root/etc/hostname)" = `+pod+` ]; then basename $p; fi
	done 2>/dev/null; true`) // processes come and go meanwhile
}

// credentials looks into a pod, at what its manifest says and at what is there.
func (w *world) credentials(t *testing.T) {
	var looked int
	for _, app := range []string{"payments", "checkout"} {
		for _, p := range w.pods(t, "shop", app) {
			for _, c := range p.Spec.InitContainers {
				if c.Name != mutate.Container && c.Name != mutate.InitContainer {
					continue
				}
				looked++
				for _, m := range c.VolumeMounts {
					w.check(t, !strings.HasPrefix(m.Name, "kube-api-access"), "%s of %s mounts %s", c.Name, p.Name, m.Name)
				}
			}
			process := w.sidecar(t, p.Name)
			if !w.check(t, regexp.MustCompile(`^\d+$`).MatchString(process), "the sidecar of %s is process %q", p.Name, process) {
				continue
			}
			at := "/proc/" + process + "/root/var/run/secrets"
			found := w.within(t, "find "+at+" -type f -o -type l | sort")
			w.check(t, !strings.Contains(found, "kubernetes.io"), "%s has:\n%s", p.Name, found)
			w.check(t, strings.Contains(found, "outrider/token"), "%s has no token for the control plane:\n%s", p.Name, found)
			claims := w.within(t, "cut -d. -f2 "+at+"/outrider/token | tr '_-' '/+' | base64 -d 2>/dev/null || true")
			w.check(t, strings.Contains(claims, `"aud":["outrider"]`), "its token is for %s", claims)
		}
	}
	w.check(t, looked >= 6, "looked into %d containers", looked)
}

// rollout replaces every pod of the server while it is called.
func (w *world) rollout(t *testing.T) {
	before := w.pods(t, "shop", "payments")
	counted := w.load(t, "shop", "checkout", server+"/v1/charges", 40*time.Second)
	w.kubectl(t, "-n", "shop", "set", "env", "deployment/payments", "-c", "app", "VERSION=2")
	w.rolledOut(t, "shop", "payments")
	got := counted()
	t.Logf("a rolling update under load: %+v", got)
	w.check(t, got.Failed == 0 && got.Sent >= 1000, "%+v", got)
	for _, p := range w.pods(t, "shop", "payments") {
		w.check(t, !slices.ContainsFunc(before, func(b corev1.Pod) bool { return b.UID == p.UID }), "%s is still there", p.Name)
	}
	a := w.get(t, "shop", "checkout", server+"/v1/charges")
	w.check(t, strings.Contains(a.body, `"version":"2"`), "%v", a)
}

// lifetime is that of identities from the upgrade on.
const lifetime = 40 * time.Second

// upgrade gives the control plane other arguments, so that both of its pods are
// replaced, while others are created that need it.
func (w *world) upgrade(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var creating sync.WaitGroup
	var made, refused int
	creating.Go(func() {
		for ; ctx.Err() == nil; made++ {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "passing-" + strconv.Itoa(made)},
				Spec:       corev1.PodSpec{NodeSelector: map[string]string{"nowhere": "here"}, Containers: []corev1.Container{{Name: "app", Image: "app:e2e"}}},
			}
			got, err := w.client.CoreV1().Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{}) //nolint:contextcheck // ctx ends between two pods, not within one
			if err != nil || got.Annotations[mutate.StatusAnnotation] == "" {
				refused++
				t.Logf("pod %d: %v", made, err)
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	counted := w.load(t, "shop", "checkout", server+"/v1/charges", 20*time.Second)
	w.kubectl(t, "-n", "outrider-system", "patch", "deployment", "outrider-injector", "--type=json", "-p",
		fmt.Sprintf(`[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--svid-lifetime=%s"}]`, lifetime))
	w.rolledOut(t, "outrider-system", "outrider-injector")
	got := counted()
	cancel()
	creating.Wait()
	t.Logf("while the control plane was replaced: %d pods created, %d of them refused; calls %+v", made, refused, got)
	w.check(t, refused == 0 && made >= 20, "%d of %d pods were refused", refused, made)
	w.check(t, got.Failed == 0 && got.Sent >= 500, "%+v", got)
	w.kubectl(t, "-n", "shop", "delete", "pods", "--force", "--field-selector=spec.nodeName=", "--wait=false")
}

// expiry is when a sidecar's identity ends.
func (w *world) expiry(t *testing.T, pod string) float64 {
	t.Helper()
	text, err := w.client.CoreV1().RESTClient().Get().Namespace("shop").Resource("pods").Name(pod + ":15020").SubResource("proxy").Suffix("metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^outrider_identity_svid_expiry_timestamp_seconds (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no expiry in the metrics of %s", pod)
	}
	at, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// rotation lets identities of a short life be renewed a few times under load. Pods that
// were started before have longer ones.
func (w *world) rotation(t *testing.T) {
	w.kubectl(t, "-n", "shop", "rollout", "restart", "deployment/checkout", "deployment/payments")
	w.rolledOut(t, "shop", "checkout")
	w.rolledOut(t, "shop", "payments")
	names := []string{w.pods(t, "shop", "payments")[0].Name, w.pods(t, "shop", "checkout")[0].Name}
	first := map[string]float64{}
	for _, n := range names {
		first[n] = w.expiry(t, n)
		w.check(t, first[n]-float64(time.Now().Unix()) <= lifetime.Seconds(), "the identity of %s is valid for longer than it should be", n)
	}
	counted := w.load(t, "shop", "checkout", server+"/v1/charges", 2*lifetime)
	for _, n := range names {
		w.eventually(t, 2*lifetime, n+" has its third identity", func() (bool, string) {
			now := w.expiry(t, n)
			return now >= first[n]+lifetime.Seconds()*0.8, fmt.Sprint(now - first[n])
		})
	}
	got := counted()
	t.Logf("while identities were renewed: %+v", got)
	w.check(t, got.Failed == 0 && got.Sent >= 2000, "%+v", got)
}

// restart kills sidecars while nobody hands out policies, as when the control plane's
// port is blocked. They have kept the last good ones.
func (w *world) restart(t *testing.T) {
	w.kubectl(t, "-n", "outrider-system", "patch", "service", "outrider-injector", "--type=json", "-p",
		`[{"op":"test","path":"/spec/ports/2/port","value":15011},{"op":"replace","path":"/spec/ports/2/port","value":15999}]`)
	defer w.kubectl(t, "-n", "outrider-system", "patch", "service", "outrider-injector", "--type=json", "-p",
		`[{"op":"replace","path":"/spec/ports/2/port","value":15011}]`)
	for _, p := range w.pods(t, "shop", "payments") {
		process := w.sidecar(t, p.Name)
		w.within(t, "kill -KILL "+process)
		w.eventually(t, time.Minute, "the sidecar of "+p.Name+" is started again", func() (bool, string) {
			now := w.sidecar(t, p.Name)
			return now != "" && now != process, now
		})
	}
	w.eventually(t, time.Minute, "who may call is let in", func() (bool, string) {
		for range 4 {
			if a := w.get(t, "shop", "checkout", server+"/v1/charges"); a.status != 200 {
				return false, a.String()
			}
		}
		return true, ""
	})
	for range 3 {
		a := w.get(t, "shop", "intruder", server+"/v1/charges")
		w.check(t, a.status == 403, "who may not: %v", a)
	}
}

// outage is the whole control plane gone, for less than half an identity's life.
func (w *world) outage(t *testing.T) {
	counted := w.load(t, "shop", "checkout", server+"/v1/charges", 15*time.Second)
	w.kubectl(t, "-n", "outrider-system", "scale", "deployment/outrider-injector", "--replicas=0")
	w.kubectl(t, "-n", "outrider-system", "delete", "pods", "-l", "app=outrider-injector", "--force", "--grace-period=0")
	got := counted()
	t.Logf("without a control plane: %+v", got)
	w.check(t, got.Failed == 0 && got.Sent >= 500, "%+v", got)
	a := w.get(t, "shop", "intruder", server+"/v1/charges")
	w.check(t, a.status == 403, "who may not: %v", a)
	_, err := w.try(t.Context(), "", "-n", "shop", "run", "late", "--image=app:e2e")
	w.check(t, err != nil && strings.Contains(err.Error(), "failed calling webhook"), "a pod without the sidecar that it asked for: %v", err)
	_, err = w.try(t.Context(), "", "-n", "outside", "run", "late", "--image=app:e2e", "--", "wait")
	w.check(t, err == nil, "others: %v", err)
	w.kubectl(t, "-n", "outrider-system", "scale", "deployment/outrider-injector", "--replicas=2")
	w.rolledOut(t, "outrider-system", "outrider-injector")
	w.eventually(t, time.Minute, "pods can be created again", func() (bool, string) {
		_, err := w.try(t.Context(), "", "-n", "shop", "run", "late", "--image=app:e2e", "--", "wait")
		return err == nil, fmt.Sprint(err)
	})
}
