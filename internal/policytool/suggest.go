package policytool

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/authz/suggest"
)

// A SuggestRequest asks for the least policy for what was observed.
type SuggestRequest struct {
	LogRequest
	// Policies is the directory of those in force, of which unused entries are
	// listed; empty: none are.
	Policies string
	// Name is that of the policy to write.
	Name string
	// Enforce writes it in mode Enforce and not DryRun.
	Enforce bool
	// MaxValues is how many values of a segment of a path are listed; 0: 10.
	MaxValues int
}

// Suggest prints a policy, with its evidence as comments. It applies nothing.
func Suggest(ctx context.Context, r SuggestRequest, out io.Writer) error {
	if len(r.Files) == 0 {
		return errNoLog
	}
	log, err := r.read(ctx)
	if err != nil {
		return err
	}
	s := suggest.Make(log, suggest.Options{MaxValues: r.MaxValues})
	p := &printer{w: out}
	window(p, log, &s)
	plaintextCallers(p, s.Plaintext)
	if err := r.unused(ctx, p, log); err != nil {
		return err
	}
	if len(s.Rules) == 0 {
		p.comment("Nothing observed is evidence for a rule, so there is no policy.")
		return p.err
	}
	policy := r.policy(&s)
	if problems := authz.Validate([]authz.Policy{policy}); len(problems) > 0 {
		return fmt.Errorf("the suggestion is not valid, which is a fault of this program: %w", problems[0])
	}
	writePolicy(p, policy, func(i int) []string { return evidence(&s.Rules[i]) })
	return p.err
}

func (r *SuggestRequest) policy(s *suggest.Suggestion) authz.Policy {
	p := authz.Policy{
		Metadata: authz.Metadata{Name: r.Name, Namespace: r.Workload.Namespace},
		Spec:     authz.PolicySpec{Action: authz.Allow, Mode: authz.DryRun},
	}
	if r.Enforce {
		p.Spec.Mode = authz.Enforce
	}
	if len(r.Workload.Labels) > 0 {
		p.Spec.Selector = &authz.Selector{MatchLabels: r.Workload.Labels}
	}
	for i := range s.Rules {
		p.Spec.Rules = append(p.Spec.Rules, s.Rules[i].Rule)
	}
	return p
}

// window says what was looked at and what was left out.
func window(p *printer, log *observed.Log, s *suggest.Suggestion) {
	p.comment("A suggestion from %s observed from %s to %s.", counted(log.Records, "call"), s.First.Format(time.RFC3339), s.Last.Format(time.RFC3339))
	p.comment("What happens less often than that, such as at the end of a month, is not in it.\nRead it, try it with outrider policy replay, and let it run in mode DryRun first.")
	p.comment("")
	p.comment("%s are evidence. Left out:", counted(s.Calls, "call"))
	for _, left := range []struct {
		n   int
		why string
	}{
		{s.Denied, "denied, or refused before"},
		{s.Attacks, "that inspection took for attacks"},
		{s.Missing, "for what the workload does not have (404, 405, 501)"},
		{s.Unwritable, "that no rule can name (CONNECT, OPTIONS *)"},
	} {
		p.comment("%7d  %s", left.n, left.why)
	}
	for _, note := range readNotes(log) {
		p.comment("note: %s", note)
	}
	p.comment("")
}

// maxPlaintext bounds a list that nobody reads to its end.
const maxPlaintext = 50

func plaintextCallers(p *printer, callers []suggest.Plaintext) {
	if len(callers) == 0 {
		p.comment("No caller was without an identity.\n")
		return
	}
	p.comment("Callers still in plaintext. A rule for one would be for everybody on its network, so there is none:")
	for i, c := range callers {
		if i == maxPlaintext {
			p.comment("         and %d more", len(callers)-i)
			break
		}
		what := "let in"
		if c.Refused {
			what = "refused"
		}
		p.comment("%7d  from %s to port %d, %s, last %s", c.Hits, c.Source, c.Port, what, c.Last.Format(time.RFC3339))
	}
	p.comment("")
}

// unused lists the entries of the present policies that nothing needed.
func (r *SuggestRequest) unused(ctx context.Context, p *printer, log *observed.Log) error {
	if r.Policies == "" {
		return nil
	}
	d, err := Load(ctx, r.Policies)
	if err != nil {
		return err
	}
	entries, err := suggest.Unused(log, d.Access, options(d, r.Workload))
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		p.comment("Every entry of the present policies was used.\n")
		return nil
	}
	p.comment("Entries of the present policies that no observed call needed:")
	for _, e := range entries {
		p.comment("  %s", e)
	}
	p.comment("")
	return nil
}

// evidence is why a rule is there.
func evidence(r *suggest.Rule) (lines []string) {
	lines = append(lines, fmt.Sprintf("%s on %s, last %s", counted(r.Hits, "call"), counted(r.Days, "day"), r.Last.Format(time.RFC3339)))
	if len(r.Callers) > 1 {
		for _, c := range r.Callers {
			lines = append(lines, fmt.Sprintf("  %7d on %s  %s", c.Hits, counted(c.Days, "day"), c.ID))
		}
	}
	for _, route := range r.Routes {
		what := "bytes that are not HTTP"
		if route.Path != "" {
			what = strings.Join(route.Methods, " ") + " " + route.Path
		}
		if route.Paths > 1 {
			what += " (" + counted(route.Paths, "path") + ")"
		}
		lines = append(lines, fmt.Sprintf("  %7d on %s  %s", route.Hits, counted(route.Days, "day"), what))
	}
	return lines
}
