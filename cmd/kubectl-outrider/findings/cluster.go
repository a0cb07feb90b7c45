package findings

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
)

const (
	// oldest has containers that are init containers and keep running.
	oldest = "1.29.0"
	// certificateMargin is less than the 45 days after which the webhook's
	// certificate, of 90 days, is replaced.
	certificateMargin = 30 * 24 * time.Hour
)

func (c *checker) reading() {
	for _, u := range c.survey.Unread {
		c.add(NotRead, u.What, "", "can't be read: %v", u.Err)
	}
	if n := c.survey.NotAsked; n > 0 {
		c.add(SidecarsNotAsked, "cluster", "", "%d more sidecars were not asked", n)
	}
}

func (c *checker) cluster() {
	v, err := version.ParseGeneric(c.survey.Kubernetes)
	if err != nil || v.LessThan(version.MustParseGeneric(oldest)) {
		c.add(OldKubernetes, "cluster", "", "the API server's version is %q", c.survey.Kubernetes)
	}
	for _, name := range slices.Sorted(maps.Keys(c.survey.Definitions)) {
		switch d := c.survey.Definitions[name]; {
		case d == nil:
			c.add(NoDefinition, "customresourcedefinition "+name, "", "is not there")
		case !serves(d):
			c.add(DefinitionUnserved, "customresourcedefinition "+name, "", "does not serve %s", v1alpha1.Version)
		}
	}
}

// serves tells whether our version can be asked for.
func serves(d *kube.Definition) bool {
	named, established := false, false
	for _, v := range d.Spec.Versions {
		named = named || v.Name == v1alpha1.Version && v.Served
	}
	for _, c := range d.Status.Conditions {
		established = established || c.Type == "Established" && c.Status == metav1.ConditionTrue
	}
	return named && established
}

func (c *checker) controlPlane() {
	d := c.survey.ControlPlane
	if d == nil {
		if !c.unread("deployment ") {
			c.add(NoControlPlane, "deployment "+c.survey.System+"/outrider-injector", "", "is not there")
		}
		return
	}
	want, object := int32(1), "deployment "+d.Namespace+"/"+d.Name
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	switch n := d.Status.ReadyReplicas; {
	case n == 0:
		c.add(NoReplicaReady, object, "", "none of %d replicas is ready", want)
	case n < want:
		c.add(ReplicasNotReady, object, "", "%d of %d replicas are ready", n, want)
	}
}

// unread tells whether something of that kind could not be read, which says nothing
// of whether it is there.
func (c *checker) unread(what string) bool {
	for _, u := range c.survey.Unread {
		if strings.HasPrefix(u.What, what) {
			return true
		}
	}
	return false
}

func (c *checker) webhook() {
	w := c.survey.Webhook
	if w == nil {
		if !c.unread("mutatingwebhookconfiguration ") {
			c.add(NoWebhook, "mutatingwebhookconfiguration outrider-injector", "", "is not there")
		}
		return
	}
	for _, hook := range w.Webhooks {
		object := "webhook " + hook.Name
		if p := hook.FailurePolicy; p != nil && *p == admissionv1.Ignore {
			c.add(WebhookFailsOpen, object, "", "its failurePolicy is Ignore")
		}
		c.authorities(object, hook.ClientConfig.CABundle)
	}
	c.expiry("webhook certificate", c.survey.WebhookExpires)
}

// authorities checks those by which the API server knows the webhook. Old ones stay
// for a while, so it is the last that counts.
func (c *checker) authorities(object string, bundle []byte) {
	var last time.Time
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && cert.NotAfter.After(last) {
			last = cert.NotAfter
		}
	}
	if last.IsZero() {
		c.add(WebhookUntrusted, object, "", "its caBundle holds no certificate")
		return
	}
	c.expiry(object, last)
}

// expiry checks a certificate of the webhook; nothing is known of a zero time.
func (c *checker) expiry(object string, at time.Time) {
	switch left := at.Sub(c.survey.At); {
	case at.IsZero():
	case left <= 0:
		c.add(CertificateExpired, object, "", "it expired at %s", stamp(at))
	case left < certificateMargin:
		c.add(CertificateExpires, object, "", "it expires at %s", stamp(at))
	}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
