package kube

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
)

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, at, selector string) ([]T, error) {
	var all []T
	query := url.Values{"limit": {strconv.Itoa(page)}}
	if selector != "" {
		query.Set("labelSelector", selector)
	}
	for {
		var got struct {
			Metadata metav1.ListMeta `json:"metadata"`
			Items    []T             `json:"items"`
		}
		if err := c.get(ctx, at, query, &got); err != nil {
			return nil, err
		}
		if all = append(all, got.Items...); len(all) > maxObjects {
			return nil, fmt.Errorf("read %s: there are more than %d; name a namespace with -n", at, maxObjects)
		}
		if got.Metadata.Continue == "" {
			return all, nil
		}
		query.Set("continue", got.Metadata.Continue)
	}
}

// within is the path of a kind, in one namespace or, if that is empty, in all.
func within(group, namespace, kind string) string {
	if namespace == "" {
		return path.Join(group, kind)
	}
	return path.Join(group, "namespaces", namespace, kind)
}

const (
	core      = "/api/v1"
	apps      = "/apis/apps/v1"
	admission = "/apis/admissionregistration.k8s.io/v1"
	crds      = "/apis/apiextensions.k8s.io/v1"
	ours      = "/apis/" + v1alpha1.Group + "/" + v1alpha1.Version
)

// Version is that of the API server.
func (c *Client) Version(ctx context.Context) (*version.Info, error) {
	info := new(version.Info)
	return info, c.get(ctx, "/version", nil, info)
}

// Namespaces lists all namespaces.
func (c *Client) Namespaces(ctx context.Context) ([]corev1.Namespace, error) {
	return list[corev1.Namespace](ctx, c, within(core, "", "namespaces"), "")
}

// Pods lists the pods of a namespace, or of all if that is empty, which a selector
// selects, all if it is empty.
func (c *Client) Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	return list[corev1.Pod](ctx, c, within(core, namespace, "pods"), selector)
}

// Pod reads one pod.
func (c *Client) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod := new(corev1.Pod)
	return pod, c.get(ctx, path.Join(within(core, namespace, "pods"), name), nil, pod)
}

// Log reads the last lines of a container's log, up to a bound of bytes.
func (c *Client) Log(ctx context.Context, namespace, pod, container string) ([]byte, error) {
	return c.read(ctx, path.Join(within(core, namespace, "pods"), pod, "log"), url.Values{
		"container": {container}, "tailLines": {strconv.Itoa(logLines)}, "limitBytes": {strconv.Itoa(logBytes)},
	}, "*/*")
}

// Services lists the services of a namespace, or of all if that is empty.
func (c *Client) Services(ctx context.Context, namespace string) ([]corev1.Service, error) {
	return list[corev1.Service](ctx, c, within(core, namespace, "services"), "")
}

// Deployment reads one Deployment.
func (c *Client) Deployment(ctx context.Context, namespace, name string) (*appsv1.Deployment, error) {
	d := new(appsv1.Deployment)
	return d, c.get(ctx, path.Join(within(apps, namespace, "deployments"), name), nil, d)
}

// Webhook reads a configuration of mutating webhooks.
func (c *Client) Webhook(ctx context.Context, name string) (*admissionv1.MutatingWebhookConfiguration, error) {
	w := new(admissionv1.MutatingWebhookConfiguration)
	return w, c.get(ctx, path.Join(admission, "mutatingwebhookconfigurations", name), nil, w)
}

// A Definition is what is read of a CustomResourceDefinition.
type Definition struct {
	Spec struct {
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// Definition reads a CustomResourceDefinition.
func (c *Client) Definition(ctx context.Context, name string) (*Definition, error) {
	d := new(Definition)
	return d, c.get(ctx, path.Join(crds, "customresourcedefinitions", name), nil, d)
}
