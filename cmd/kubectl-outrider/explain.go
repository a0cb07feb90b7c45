package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
	"github.com/outrider-mesh/outrider/internal/policytool"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const explainHelp = `Usage: kubectl outrider explain --from SPIFFE-ID|plaintext --to WORKLOAD:PORT [flags]
       kubectl outrider explain DECISION-ID [-n NAMESPACE|-A] [-l SELECTOR] [flags]

The first form reads the policies of the cluster and says what would become of a call,
which rules speak for and against it, and what the smallest change is that would allow
it. WORKLOAD is a pod, or what pods belong to, such as a Deployment; PORT is the
application's. Without --path the call is a connection of bytes that are not HTTP.
Policies that are not valid are left out, as sidecars leave them out.

The second form asks sidecars why something was refused: the decision id is in the
answer to the refused request. A sidecar keeps its newest refusals, 512 at most; what
is older is in its access log. Sidecars are asked through port-forward.

Examples:

  kubectl outrider explain d0k3f4uq2c5s73a00018
  kubectl outrider explain --from spiffe://cluster.local/ns/shop/sa/checkout \
      --to payments:8080 --method POST --path /v1/charges

Exit status: 0 the call is allowed; 1 it failed; 2 the command line is wrong; 3 the
call is, or was, denied.

`

// explain is "kubectl outrider explain".
func explain(ctx context.Context, args []string, env cli.Environment) error {
	fs := flags("explain", explainHelp)
	var c clusterFlags
	var o output
	var call policycmd.Call
	c.add(fs)
	o.add(fs)
	call.Flags(fs, "who is called: `WORKLOAD:PORT`")
	selector := fs.String("l", "", "`selector` of the pods by their labels")
	p, err := prepare(ctx, fs, &c, &o, 1, args, env)
	if err != nil {
		return err
	}
	if len(p.rest) == 1 {
		return p.decision(ctx, p.rest[0], *selector, o.json(), env)
	}
	return p.call(ctx, fs, &call, *selector, o.json(), env)
}

// decision asks the sidecar that has the decision.
func (p *prepared) decision(ctx context.Context, id, selector string, asJSON bool, env cli.Environment) error {
	pods, err := p.meshed(ctx, selector)
	if err != nil {
		return err
	}
	pod, err := p.whoHas(ctx, id, pods)
	if err != nil {
		return err
	}
	if !asJSON {
		fmt.Fprintf(env.Stdout, "%s\n", pod)
	}
	err = policytool.ExplainDecision(ctx, policytool.DecisionRequest{
		ID: id, Admin: "127.0.0.1:" + strconv.Itoa(sidecars.AdminPort), Dial: pod.Dial, JSON: asJSON,
	}, env.Stdout)
	if err != nil {
		return err
	}
	return denied
}

// askedAtOnce is how many sidecars are asked for a decision at a time.
const askedAtOnce = 8

// whoHas finds the sidecar that keeps a decision. Each has ids of its own.
func (p *prepared) whoHas(ctx context.Context, id string, pods []corev1.Pod) (*sidecars.Pod, error) {
	if !policytool.IsDecisionID(id) {
		return nil, fmt.Errorf("%q is not a decision id, which has 20 characters of 0-9 and a-v", id)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, askedAtOnce)
	found := make(chan *sidecars.Pod, len(pods))
	errs := make([]error, len(pods))
	var asking sync.WaitGroup
	for i := range pods {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			pod := sidecars.New(p.client, pods[i].Namespace, pods[i].Name)
			if _, errs[i] = pod.Text(ctx, sidecars.AdminPort, "/decisions/"+id); errs[i] == nil {
				found <- &pod
				cancel()
			}
		})
	}
	asking.Wait()
	select {
	case pod := <-found:
		return pod, nil
	default:
		return nil, fmt.Errorf("none of %s has a refusal of that id: %w", count(len(pods), "sidecar"), errors.Join(errs[:min(3, len(errs))]...))
	}
}

// call asks the policies of the cluster.
func (p *prepared) call(ctx context.Context, fs *flag.FlagSet, call *policycmd.Call, selector string, asJSON bool, env cli.Environment) error {
	workload, number, ok := strings.Cut(call.To, ":")
	port, err := strconv.Atoi(number)
	if !ok || err != nil || workload == "" {
		return wrong(fs, env, "say who is called with --to WORKLOAD:PORT, or name a decision")
	}
	pod, err := p.find(ctx, workload, selector)
	if err != nil {
		return err
	}
	policies, err := p.client.Policies(ctx)
	if err != nil {
		return err
	}
	documents, problems := survey.Documents(policies)
	leftOut(env.Stderr, problems)
	asked := call.Asked()
	asked.To = port
	mesh := documents.Mesh.WithDefaults()
	allowed, err := policytool.Explain(ctx, policytool.ExplainRequest{
		Documents: documents, Call: asked, JSON: asJSON, MTLS: config.MTLSMode(pod.Annotations[mutate.Prefix+"mtls"]),
		Workload: authz.Workload{Namespace: pod.Namespace, Name: mutate.Workload(pod), Labels: pod.Labels, TrustDomain: or(mesh.TrustDomain, mutate.DefaultTrustDomain)},
	}, env.Stdout)
	switch {
	case err != nil:
		return err
	case !allowed:
		return denied
	}
	return nil
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// leftOut says which documents count for nothing.
func leftOut(w io.Writer, problems []config.Problem) {
	for _, p := range problems {
		if p.Severity == config.Error {
			fmt.Fprintf(w, "left out: %s\n", printable(p.String()))
		}
	}
}

// find is the pod that is called so, or one of those that belong to what is called so.
func (p *prepared) find(ctx context.Context, workload, selector string) (*corev1.Pod, error) {
	pods, err := p.client.Pods(ctx, p.namespaceOrOwn(), selector)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range pods {
		name := mutate.Workload(&pods[i])
		if pods[i].Name == workload || name == workload {
			return &pods[i], nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return nil, fmt.Errorf("no pod in %s is, or belongs to, %q; there are %s", where(p.namespaceOrOwn()), workload, or(strings.Join(names[:min(20, len(names))], ", "), "none"))
}
