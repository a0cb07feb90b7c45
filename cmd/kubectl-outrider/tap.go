package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/tap"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/cli"
)

const tapHelp = `Usage: kubectl outrider tap [POD...] [-n NAMESPACE|-A] [-l SELECTOR] [flags]

Shows what sidecars decide, as they do: each request when its answer is complete, each
opaque or refused connection when it ends, allowed and refused ones. It follows the
pods named, or those selected that have a sidecar, 32 at most. Records are those of the
access log (docs/access-log.md): they hold no header values, no bodies and no queries.

A sidecar never waits for a reader. One that is too slow loses records, and is told on
standard error how many. Four may follow one sidecar at a time, for an hour.

In --caller, --path and --host a * stands for any text. --caller plaintext means callers
without an identity.

Examples:

  kubectl outrider tap -l app=payments --verdict refused
  kubectl outrider tap payments-6c8d4f-abcde --path '/v1/*' --status 5xx
  kubectl outrider tap -A --caller plaintext --max 10 -o json

Exit status: 0 it was interrupted, or has shown as much as was asked for; 1 a sidecar
can't be followed, or ended the stream; 2 the command line is wrong.

`

// tapPods is "kubectl outrider tap".
func tapPods(ctx context.Context, args []string, env cli.Environment) error {
	fs := flags("tap", tapHelp)
	var c clusterFlags
	var o output
	c.add(fs)
	o.add(fs)
	t := tap.Tap{Out: env.Stdout, Err: env.Stderr}
	f := &t.Filter
	fs.StringVar((*string)(&f.Verdict), "verdict", "", "`verdict`: allowed or refused")
	fs.StringVar(&f.Direction, "direction", "", "`direction`: inbound or outbound")
	fs.StringVar(&f.Caller, "caller", "", "the caller's `SPIFFE-ID`, or plaintext")
	fs.StringVar(&f.Method, "method", "", "the request's `method`")
	fs.StringVar(&f.Path, "path", "", "the request's `path`")
	fs.StringVar(&f.Host, "host", "", "the request's `authority`")
	fs.StringVar(&f.Status, "status", "", "the answer's `status`, or a class such as 4xx")
	fs.StringVar(&f.Reason, "reason", "", "`reason` of a refusal, as in docs/refusals.md")
	fs.IntVar(&t.Most, "max", 0, "end after this `number` of records; 0 means never")
	duration := fs.Duration("for", 0, "end after this `time`; 0 means never")
	selector := fs.String("l", "", "`selector` of the pods by their labels")
	p, err := prepare(ctx, fs, &c, &o, tap.MaxPods, args, env)
	if err != nil {
		return err
	}
	if err := f.Check(); err != nil {
		return wrong(fs, env, err.Error())
	}
	t.JSON = o.json()
	if t.Pods, err = p.tapped(ctx, *selector); err != nil {
		return err
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(*duration, time.Second))
		defer cancel()
	}
	return t.Run(ctx)
}

// tapped are the pods that are named, or else those selected that have a sidecar.
func (p *prepared) tapped(ctx context.Context, selector string) ([]sidecars.Pod, error) {
	var found []corev1.Pod
	for _, name := range p.rest {
		pod, err := p.client.Pod(ctx, p.namespaceOrOwn(), name)
		if err != nil {
			return nil, err
		}
		if !mutate.Injected(pod) {
			return nil, fmt.Errorf("pod %s/%s has no sidecar", pod.Namespace, pod.Name)
		}
		found = append(found, *pod)
	}
	if len(p.rest) == 0 {
		var err error
		if found, err = p.meshed(ctx, selector); err != nil {
			return nil, err
		}
	}
	if len(found) > tap.MaxPods {
		return nil, fmt.Errorf("there are %d pods, and at most %d are followed; name some, or narrow them with -l", len(found), tap.MaxPods)
	}
	var all []sidecars.Pod
	for _, pod := range found {
		all = append(all, sidecars.New(p.client, pod.Namespace, pod.Name))
	}
	return all, nil
}

// namespaceOrOwn is for what has a name: that of the context where -A was given.
func (p *prepared) namespaceOrOwn() string {
	if p.namespace == "" {
		return p.client.Namespace
	}
	return p.namespace
}

// meshed are the running pods with a sidecar, of which there must be one.
func (p *prepared) meshed(ctx context.Context, selector string) ([]corev1.Pod, error) {
	pods, err := p.client.Pods(ctx, p.namespace, selector)
	if err != nil {
		return nil, err
	}
	var found []corev1.Pod
	for _, pod := range pods {
		if mutate.Injected(&pod) && pod.Status.Phase == corev1.PodRunning {
			found = append(found, pod)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no running pod with a sidecar in %s%s", where(p.namespace), selecting(selector))
	}
	return found, nil
}

func where(namespace string) string {
	if namespace == "" {
		return "any namespace"
	}
	return "namespace " + namespace
}

func selecting(selector string) string {
	if selector == "" {
		return ""
	}
	return " has the labels " + selector
}

var _ sidecars.Dialer = (*kube.Client)(nil)
