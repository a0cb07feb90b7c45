package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

const (
	// askedAtOnce is how many pods are asked at a time: each is a connection through
	// API server and kubelet.
	askedAtOnce = 8
	// MostAsked is how many sidecars are asked unless somebody says otherwise; 200
	// take some seconds.
	MostAsked = 200
)

// Options say what is read.
type Options struct {
	// Namespace is whose pods and services are read; empty: those of all.
	Namespace string
	// Selector narrows the pods by their labels.
	Selector string
	// MostAsked bounds how many sidecars are asked; 0 asks none.
	MostAsked int
	// System is the control plane's namespace.
	System string
}

// A Survey is what was read.
type Survey struct {
	// At is when.
	At time.Time
	// Kubernetes is the API server's version, such as "v1.36.1".
	Kubernetes string
	System     string
	// Namespaces are all, by name; Pods and Services those asked for.
	Namespaces map[string]corev1.Namespace
	Pods       []Pod
	Services   []corev1.Service
	// Policies are all documents of the cluster.
	Policies []kube.Policy
	// Definitions are our CustomResourceDefinitions by name; nil for one that is not
	// there.
	Definitions map[string]*kube.Definition
	// ControlPlane is nil if it is not there.
	ControlPlane *appsv1.Deployment
	// Webhook is nil if it is not there.
	Webhook *admissionv1.MutatingWebhookConfiguration
	// WebhookExpires is what a replica says of its certificate; zero: not known.
	WebhookExpires time.Time
	// Unread are what could not be read, and why.
	Unread []Unread
	// NotAsked counts the sidecars beyond the bound.
	NotAsked int
}

// An Unread is one thing that could not be read.
type Unread struct {
	What string
	Err  error
}

// A Pod is one with what its sidecar says.
type Pod struct {
	corev1.Pod

	// Facts are nil where the sidecar was not asked, or did not answer: then Err says
	// why.
	Facts *sidecars.Facts
	Err   error
	// PlaintextFrom are the addresses from which the pod was called without an
	// identity. They are asked for only where the facts say that there are such calls.
	PlaintextFrom []string
}

// Injected tells whether the pod has a sidecar.
func (p *Pod) Injected() bool { return mutate.Injected(&p.Pod) }

// Name is "namespace/name".
func (p *Pod) String() string { return p.Namespace + "/" + p.Name }

// API is the part of a cluster that is asked.
type API interface {
	sidecars.Dialer
	reader
}

// Read reads what the options say. The error is about the cluster as a whole: nothing
// of it could be read.
func Read(ctx context.Context, api API, o Options) (*Survey, error) {
	version, err := api.Version(ctx)
	if err != nil {
		return nil, err
	}
	s := &Survey{At: time.Now(), Kubernetes: version.GitVersion, System: o.System, Namespaces: map[string]corev1.Namespace{}, Definitions: map[string]*kube.Definition{}}
	s.readCluster(ctx, api)
	s.readControlPlane(ctx, api)
	s.readWorkloads(ctx, api, o)
	s.askSidecars(ctx, api, o.MostAsked)
	return s, ctx.Err()
}

// note keeps what could not be read, but for what is not there.
func (s *Survey) note(what string, err error) (read bool) {
	if err != nil && !kube.IsNotFound(err) {
		s.Unread = append(s.Unread, Unread{what, err})
	}
	return err == nil
}

func (s *Survey) readCluster(ctx context.Context, api API) {
	namespaces, err := api.Namespaces(ctx)
	s.note("namespaces", err)
	for _, ns := range namespaces {
		s.Namespaces[ns.Name] = ns
	}
	for _, r := range v1alpha1.Resources() {
		name := r.Plural + "." + v1alpha1.Group
		d, err := api.Definition(ctx, name)
		switch {
		case s.note("customresourcedefinition "+name, err):
			s.Definitions[name] = d
		case kube.IsNotFound(err):
			s.Definitions[name] = nil
		}
	}
	if s.Policies, err = api.Policies(ctx); err != nil {
		s.note("policies", err)
	}
}

func (s *Survey) readControlPlane(ctx context.Context, api API) {
	d, err := api.Deployment(ctx, s.System, mutate.ControlPlaneName)
	if s.note("deployment "+s.System+"/"+mutate.ControlPlaneName, err) {
		s.ControlPlane = d
	}
	w, err := api.Webhook(ctx, mutate.ControlPlaneName)
	if s.note("mutatingwebhookconfiguration "+mutate.ControlPlaneName, err) {
		s.Webhook = w
	}
	replicas, err := api.Pods(ctx, s.System, "app="+mutate.ControlPlaneName)
	if !s.note("pods of "+s.System, err) {
		return
	}
	i := slices.IndexFunc(replicas, ready)
	if i < 0 {
		return
	}
	s.WebhookExpires, err = sidecars.New(api, s.System, replicas[i].Name).WebhookExpires(ctx)
	s.note("metrics of the control plane", err)
}

// ready tells whether the kubelet says so of a pod.
func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func (s *Survey) readWorkloads(ctx context.Context, api API, o Options) {
	pods, err := api.Pods(ctx, o.Namespace, o.Selector)
	s.note("pods", err)
	for _, p := range pods {
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			s.Pods = append(s.Pods, Pod{Pod: p})
		}
	}
	slices.SortFunc(s.Pods, func(a, b Pod) int { return strings.Compare(a.String(), b.String()) })
	s.Services, err = api.Services(ctx, o.Namespace)
	s.note("services", err)
}

// askSidecars asks some at a time.
func (s *Survey) askSidecars(ctx context.Context, api API, most int) {
	var asking sync.WaitGroup
	slots := make(chan struct{}, askedAtOnce)
	for i := range s.Pods {
		p := &s.Pods[i]
		if !p.Injected() || p.Status.Phase != corev1.PodRunning {
			continue
		}
		if most == 0 {
			s.NotAsked++
			continue
		}
		most--
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			p.ask(ctx, api)
		})
	}
	asking.Wait()
}

func (p *Pod) ask(ctx context.Context, api API) {
	pod := sidecars.New(api, p.Namespace, p.Name)
	facts, err := pod.Facts(ctx)
	if err != nil {
		p.Err = err
		return
	}
	p.Facts = &facts
	if facts.PlaintextTaken+facts.PlaintextRefused == 0 {
		return
	}
	// Who they are is an addition; that there are some is known.
	p.PlaintextFrom, _ = pod.PlaintextCallers(ctx)
}

// Caller names the pod that has an address, or returns the address.
func (s *Survey) Caller(address string) string {
	want, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Sprintf("%.40q", address)
	}
	for i := range s.Pods {
		for _, ip := range s.Pods[i].Status.PodIPs {
			if got, err := netip.ParseAddr(ip.IP); err == nil && got.Unmap() == want.Unmap() {
				return s.Pods[i].String()
			}
		}
	}
	return want.String()
}
