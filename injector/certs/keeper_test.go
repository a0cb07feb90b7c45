package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

const namespace, secret, webhook = "outrider-system", "outrider-webhook", "outrider-injector"

// cluster has what the manifests make: a Secret without data, and a webhook of two
// entries.
func cluster() *fake.Clientset {
	return fake.NewClientset(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret}},
		&admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: webhook},
			Webhooks:   []admissionv1.MutatingWebhook{{Name: "namespace.inject.outrider.dev"}, {Name: "pod.inject.outrider.dev"}},
		},
	)
}

// aged puts a certificate into the Secret that was made some time ago.
func aged(t *testing.T, client *fake.Clientset, by time.Duration) {
	t.Helper()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret},
		Data:       step(t, state{}, time.Now().Add(-by)).encode(),
	}
	if _, err := client.CoreV1().Secrets(namespace).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func keeper(t *testing.T, client *fake.Clientset) *Keeper {
	t.Helper()
	k, err := New(Options{Client: client, Namespace: namespace, Secret: secret, Webhook: webhook, Names: names()})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func bundles(t *testing.T, client *fake.Clientset) [][]byte {
	t.Helper()
	c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), webhook, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, w := range c.Webhooks {
		all = append(all, w.ClientConfig.CABundle)
	}
	return all
}

// run starts the keepers, the first of which leads, and returns what ends them.
func run(t *testing.T, keepers ...*Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	work := []func(context.Context) error{keepers[0].Lead}
	for _, k := range keepers {
		work = append(work, k.Follow)
	}
	for _, w := range work {
		go func() { done <- w(ctx) }()
	}
	return func() {
		cancel()
		for range work {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEveryReplicaPresentsWhatTheAPIServerTrusts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := cluster()
		aged(t, client, lifetime/2-time.Hour)
		leader, follower := keeper(t, client), keeper(t, client)
		if _, err := follower.GetCertificate(nil); err == nil || !follower.Expiry().IsZero() {
			t.Error("a certificate out of nothing")
		}
		stop := run(t, leader, follower)
		defer stop()
		<-leader.Ready()
		<-follower.Ready()
		synctest.Wait() // for the leader, who makes it known
		first, err := follower.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func(c *tls.Certificate) {
			t.Helper()
			all := bundles(t, client)
			if len(all) != 2 {
				t.Fatalf("%d entries", len(all))
			}
			for _, b := range all {
				if err := trusted(&pair{leaf: c.Leaf}, b, time.Now()); err != nil {
					t.Error(err)
				}
			}
		}
		check(first)
		if got := follower.Expiry(); !got.Equal(first.Leaf.NotAfter) {
			t.Errorf("expires %v", got)
		}

		time.Sleep(time.Hour + ripening + 3*interval) //nolint:forbidigo // of the bubble: no time passes
		for _, k := range []*Keeper{leader, follower} {
			c, err := k.GetCertificate(nil)
			if err != nil || c.Leaf.Equal(first.Leaf) {
				t.Errorf("after half a lifetime the first one is presented still, %v", err)
			}
			check(c)
		}
	})
}

// Somebody who applies the manifests again, or edits by hand.
func TestABundleThatWasLostComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := cluster()
		k := keeper(t, client)
		stop := run(t, k)
		defer stop()
		<-k.Ready()
		configurations := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		c, err := configurations.Get(t.Context(), webhook, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c.Webhooks[1].ClientConfig.CABundle = []byte("lost")
		if _, err := configurations.Update(t.Context(), c, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * interval) //nolint:forbidigo // of the bubble: no time passes
		for i, b := range bundles(t, client) {
			if !strings.Contains(string(b), "BEGIN CERTIFICATE") {
				t.Errorf("entry %d has %q", i, b)
			}
		}
	})
}

func TestABrokenSecretIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := cluster()
		broken := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret},
			Data:       map[string][]byte{certKey: []byte("not a certificate"), keyKey: []byte("nor a key")},
		}
		if _, err := client.CoreV1().Secrets(namespace).Update(t.Context(), broken, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		k := keeper(t, client)
		stop := run(t, k)
		defer stop()
		<-k.Ready()
	})
}

// Nothing is written into the Secret that the API server doesn't trust yet.
func TestTheConfigurationIsWrittenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := cluster()
		client.PrependReactor("patch", "mutatingwebhookconfigurations", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("no")
		})
		k := keeper(t, client)
		stop := run(t, k)
		defer stop()
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble: no time passes
		s, err := client.CoreV1().Secrets(namespace).Get(t.Context(), secret, metav1.GetOptions{})
		if err != nil || len(s.Data) > 0 {
			t.Errorf("the Secret holds %d keys, %v", len(s.Data), err)
		}
	})
}

func TestEveryOptionIsNeeded(t *testing.T) {
	full := Options{Client: cluster(), Namespace: namespace, Secret: secret, Webhook: webhook, Names: names()}
	var tried int
	for what, spoil := range map[string]func(*Options){
		"client": func(o *Options) { o.Client = nil }, "namespace": func(o *Options) { o.Namespace = "" },
		"secret": func(o *Options) { o.Secret = "" }, "webhook": func(o *Options) { o.Webhook = "" }, "names": func(o *Options) { o.Names = nil },
	} {
		tried++
		o := full
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("made without %s", what)
		}
	}
	if tried != 5 {
		t.Errorf("tried %d", tried)
	}
}
