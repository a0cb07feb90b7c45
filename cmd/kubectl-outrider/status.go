package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const statusHelp = `Usage: kubectl outrider status [-n NAMESPACE|-A] [-l SELECTOR] [flags]

Says of each pod whether it is in the mesh, and of its sidecar which image it has,
whether it is ready, which generation of policies it has in force, how long its
certificate is valid, and how many connections in plaintext it let in and refused, with
the pods or addresses they came from. Below it says of each document how many sidecars
have it in force; a MeshConfig is for the control plane, and not counted.

Sidecars that have the same policies name the same generation. A "?" is what a sidecar
did not say; kubectl outrider check says why.

Examples:

  kubectl outrider status
  kubectl outrider status -A -o json

Exit status: 0 done; 1 it failed; 2 the command line is wrong.

`

// status is "kubectl outrider status".
func status(ctx context.Context, args []string, env cli.Environment) error {
	fs := flags("status", statusHelp)
	var c clusterFlags
	var o output
	c.add(fs)
	o.add(fs)
	selector := fs.String("l", "", "`selector` of the pods by their labels")
	most := fs.Int("most", survey.MostAsked, "`number` of sidecars that are asked what they know of themselves, at most")
	p, err := prepare(ctx, fs, &c, &o, 0, args, env)
	if err != nil {
		return err
	}
	s, err := survey.Read(ctx, p.client, survey.Options{Namespace: p.namespace, Selector: *selector, MostAsked: *most, System: c.system})
	if err != nil {
		return err
	}
	for _, u := range s.Unread {
		fmt.Fprintf(env.Stderr, "%s: %s can't be read: %v\n", fs.Name(), u.What, u.Err)
	}
	state := stateOf(s, p.namespace)
	if o.json() {
		return writeJSON(env.Stdout, state)
	}
	return errors.Join(state.pods(env.Stdout), state.policies(env.Stdout))
}

// What programs read. Names are stable.
type (
	state struct {
		At       time.Time     `json:"at"`
		Pods     []podState    `json:"pods"`
		Policies []policyState `json:"policies"`
		NotAsked int           `json:"notAsked,omitempty"`
	}
	podState struct {
		Namespace  string         `json:"namespace"`
		Name       string         `json:"name"`
		Workload   string         `json:"workload"`
		Meshed     bool           `json:"meshed"`
		Image      string         `json:"image,omitempty"`
		Version    string         `json:"version,omitempty"`
		Ready      bool           `json:"ready"`
		Generation string         `json:"generation,omitempty"`
		SVIDUntil  time.Time      `json:"svidExpires,omitzero"`
		Plaintext  plaintextState `json:"plaintext"`
		Problem    string         `json:"problem,omitempty"`
		asked      bool
	}
	plaintextState struct {
		Taken   int64    `json:"taken"`
		Refused int64    `json:"refused"`
		From    []string `json:"from,omitempty"`
	}
	policyState struct {
		Object     string `json:"object"`
		Accepted   string `json:"accepted"`
		Programmed int32  `json:"programmed"`
		Rejected   int32  `json:"rejected"`
		Total      int32  `json:"total"`
		Revision   string `json:"revision,omitempty"`
		// counted: sidecars report what they make of it. A MeshConfig is the control
		// plane's own, and "0/0" would look like one that nobody obeys.
		counted bool
	}
)

func stateOf(s *survey.Survey, namespace string) state {
	all := state{At: s.At.UTC().Truncate(time.Second), Pods: []podState{}, Policies: []policyState{}, NotAsked: s.NotAsked}
	for i := range s.Pods {
		all.Pods = append(all.Pods, podOf(s, &s.Pods[i]))
	}
	for i := range s.Policies {
		p := &s.Policies[i]
		if ns := p.Metadata.Namespace; namespace != "" && ns != "" && ns != namespace {
			continue
		}
		state := policyState{Object: survey.Object(p), Accepted: "Unknown", Revision: p.Status.Revision, counted: p.Kind != config.KindMeshConfig}
		if p.Status.ObservedGeneration == p.Metadata.Generation {
			n := p.Status.Sidecars
			state.Programmed, state.Rejected, state.Total = n.Programmed, n.Rejected, n.Total
			for _, c := range p.Status.Conditions {
				if c.Type == v1alpha1.Accepted {
					state.Accepted = string(c.Status)
				}
			}
		}
		all.Policies = append(all.Policies, state)
	}
	return all
}

func podOf(s *survey.Survey, p *survey.Pod) podState {
	state := podState{Namespace: p.Namespace, Name: p.Name, Workload: mutate.Workload(&p.Pod), Meshed: p.Injected()}
	for _, c := range p.Spec.InitContainers {
		if c.Name == mutate.Container && state.Meshed {
			state.Image = c.Image
		}
	}
	state.Ready = state.Meshed && sidecarReady(p.Status.InitContainerStatuses)
	if p.Err != nil {
		state.Problem = p.Err.Error()
	}
	if f := p.Facts; f != nil {
		state.asked = true
		state.Version, state.Generation, state.SVIDUntil = f.Version, f.Generation, f.SVIDExpires
		state.Plaintext = plaintextState{Taken: f.PlaintextTaken, Refused: f.PlaintextRefused}
		for _, address := range p.PlaintextFrom {
			state.Plaintext.From = append(state.Plaintext.From, s.Caller(address))
		}
	}
	return state
}

func sidecarReady(all []corev1.ContainerStatus) bool {
	for _, c := range all {
		if c.Name == mutate.Container {
			return c.Ready
		}
	}
	return false
}

// pods prints the table of pods.
func (s *state) pods(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tPOD\tSIDECAR\tREADY\tPOLICIES\tSVID\tPLAINTEXT IN\tPLAINTEXT REFUSED\tPLAINTEXT FROM")
	for _, p := range s.Pods {
		if !p.Meshed {
			fmt.Fprintf(w, "%s\t%s\tnone\t-\t-\t-\t-\t-\t\n", p.Namespace, p.Name)
			continue
		}
		generation, svid, taken, refused := "?", "?", "?", "?"
		if p.asked {
			generation, svid = orNone(p.Generation), validFor(p.SVIDUntil, s.At)
			taken, refused = fmt.Sprint(p.Plaintext.Taken), fmt.Sprint(p.Plaintext.Refused)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Namespace, p.Name, printable(p.Image), yesNo(p.Ready),
			printable(generation), svid, taken, refused, strings.Join(p.Plaintext.From, ","))
	}
	if s.NotAsked > 0 {
		fmt.Fprintf(w, "(%d more sidecars were not asked: --most)\n", s.NotAsked)
	}
	return w.Flush()
}

// policies prints the table of documents.
func (s *state) policies(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nDOCUMENT\tACCEPTED\tIN FORCE\tREFUSED\tREVISION")
	for _, p := range s.Policies {
		if !p.counted {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\n", p.Object, p.Accepted)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%d\t%s\n", p.Object, p.Accepted, p.Programmed, p.Total, p.Rejected, printable(orNone(p.Revision)))
	}
	return w.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// validFor is how long a certificate is valid still, in full minutes.
func validFor(until, now time.Time) string {
	left := until.Sub(now)
	switch {
	case until.IsZero():
		return "none"
	case left <= 0:
		return "EXPIRED"
	case left < time.Hour:
		return fmt.Sprintf("%dm", int(left/time.Minute))
	}
	return fmt.Sprintf("%dh%02dm", int(left/time.Hour), int(left%time.Hour/time.Minute))
}
