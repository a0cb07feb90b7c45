package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/findings"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/internal/cli"
)

const checkHelp = `Usage: kubectl outrider check [-n NAMESPACE] [flags]

Looks at a mesh as a whole and says what is wrong, or soon will be: the version of the
cluster, definitions, control plane, webhook and certificates; pods without a sidecar
that ask for one, sidecars that are not ready, outdated or without an identity; who
calls in plaintext; Services that don't say what they carry; and everything that
outrider check says of policies. Without -n it looks at all namespaces.

Each finding has a code that stays what it is (docs/kubectl.md lists them), a severity,
the object it is about, and a remedy. It reads with your rights and writes nothing;
what you may not read is a finding too. Sidecars are asked through port-forward.

Examples:

  kubectl outrider check
  kubectl outrider check -n shop -o json
  kubectl outrider check --strict --ignore OUT501,OUT605

Exit status: 0 there is no error; 1 there is one, or with --strict a warning, or it
failed; 2 the command line is wrong.

`

// check is "kubectl outrider check".
func check(ctx context.Context, args []string, env cli.Environment) error {
	fs := flags("check", checkHelp)
	var c clusterFlags
	var o output
	c.add(fs)
	o.add(fs)
	most := fs.Int("most", survey.MostAsked, "`number` of sidecars that are asked what they know of themselves, at most")
	strict := fs.Bool("strict", false, "let warnings count as errors do")
	ignore := fs.String("ignore", "", "`codes` of findings to leave out, with commas between")
	p, err := prepare(ctx, fs, &c, &o, 0, args, env)
	if err != nil {
		return err
	}
	s, err := survey.Read(ctx, p.client, survey.Options{Namespace: c.namespace, MostAsked: *most, System: c.system})
	if err != nil {
		return err
	}
	all := without(findings.Check(s), *ignore)
	if o.json() {
		err = writeJSON(env.Stdout, checked{all, summaryOf(s)})
	} else {
		err = printFindings(env.Stdout, all, summaryOf(s))
	}
	if err != nil {
		return err
	}
	if findings.Count(all, findings.Error) > 0 || *strict && len(all) > 0 {
		return failed
	}
	return nil
}

// without leaves out findings of some codes.
func without(all []findings.Finding, codes string) []findings.Finding {
	kept := []findings.Finding{}
	for _, f := range all {
		if !strings.Contains(","+codes+",", ","+string(f.Code)+",") {
			kept = append(kept, f)
		}
	}
	return kept
}

// checked is what programs read. Names are stable.
type checked struct {
	Findings []findings.Finding `json:"findings"`
	Summary  summary            `json:"summary"`
}

// A summary says how much was looked at.
type summary struct {
	Kubernetes string `json:"kubernetes"`
	Pods       int    `json:"pods"`
	Meshed     int    `json:"meshed"`
	Asked      int    `json:"asked"`
	Policies   int    `json:"policies"`
}

func summaryOf(s *survey.Survey) summary {
	sum := summary{Kubernetes: s.Kubernetes, Pods: len(s.Pods), Policies: len(s.Policies)}
	for i := range s.Pods {
		if s.Pods[i].Injected() {
			sum.Meshed++
		}
		if s.Pods[i].Facts != nil {
			sum.Asked++
		}
	}
	return sum
}

func printFindings(w io.Writer, all []findings.Finding, s summary) error {
	for _, f := range all {
		if _, err := fmt.Fprintln(w, printable(f.String())); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s, %s; looked at %s, %d with a sidecar, of which %d answered, and %s\n",
		count(findings.Count(all, findings.Error), "error"), count(findings.Count(all, findings.Warning), "warning"),
		count(s.Pods, "pod"), s.Meshed, s.Asked, count(s.Policies, "document"))
	return err
}
