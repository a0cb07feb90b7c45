package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// prepareInspection finds the programs of the third part, and says why others
// have none.
func (b *benchmark) prepareInspection(ctx context.Context) (err error) {
	b.report.Inspection = &report.Inspection{Absent: map[string]string{}, Fairness: inspectionFairness()}
	if b.inspecting, err = b.locate(ctx, inspects, b.report.Inspection.Absent); err != nil {
		return err
	}
	for _, entry := range b.catalogue {
		if entry.NoInspection != "" && b.options.wants(entry.Name, entry.Default) {
			b.report.Inspection.Absent[entry.Name] = entry.NoInspection
		}
	}
	b.bases, err = b.locateBases(ctx, b.inspecting)
	return err
}

// everybody is who takes part in a closed loop of the third part: those that inspect
// nothing refuse nothing.
func (b *benchmark) everybody(kind inspectable) []string {
	if kind.refused {
		return names(b.inspecting)
	}
	return append(names(b.inspecting), names(b.bases)...)
}

// measureInspection is the third part.
func (b *benchmark) measureInspection(ctx context.Context, s *session) (err error) {
	rep := b.report.Inspection
	rep.Peers = s.describe()
	if rep.Memory, err = s.idleMemory(); err != nil {
		return err
	}
	for i, kind := range inspectables() {
		inspected, err := b.inspect(ctx, s, i, kind)
		if err != nil {
			return err
		}
		rep.Requests = append(rep.Requests, inspected)
	}
	return s.memoryAfter(rep.Memory)
}

// inspect measures the i-th kind of request.
func (b *benchmark) inspect(ctx context.Context, s *session, i int, kind inspectable) (report.Inspected, error) {
	sent := kind.sent()
	in := report.Inspected{Name: kind.name, Line: sent.Method + " " + sent.Target, Bytes: len(sent.Body)}
	wrong := s.judge(ctx, kind)
	sound := func(peers []string) []string {
		return slices.DeleteFunc(peers, func(name string) bool { return wrong[name] != "" })
	}
	closed := b.closedInspection(i, kind, sound(b.everybody(kind)))
	samples, err := s.run(ctx, closed, b.progress)
	if err != nil {
		return in, err
	}
	in.Samples = append(samples, void(closed.Load, b.everybody(kind), wrong)...)
	in.Closed = report.Summarise(in.Samples, b.everybody(kind), []string{report.Mark})[0]
	if b.options.open.rounds == 0 || kind.refused {
		return in, nil
	}
	rate := b.options.inspection.rate
	if rate == 0 {
		rate = max(bearable(in.Closed.Results), 1)
	}
	in.Open, err = b.measureOpen(ctx, s, b.openInspection(i, kind, sound(names(b.inspecting)), rate))
	return in, err
}

// void are samples in place of those that are not taken.
func void(load report.Load, peers []string, wrong map[string]string) []report.Sample {
	var samples []report.Sample
	for _, name := range peers {
		if why := wrong[name]; why != "" {
			samples = append(samples, report.Void(load, name, why))
		}
	}
	return samples
}

// judge asks every program to pass an honest request and, if it inspects, to
// refuse the same one with an attack in it. It returns why one is not measured.
func (s *session) judge(ctx context.Context, kind inspectable) map[string]string {
	wrong := map[string]string{}
	for _, c := range s.found {
		if why := s.misjudges(ctx, c, kind); why != "" {
			wrong[c.Name] = why
		}
	}
	return wrong
}

func (s *session) misjudges(ctx context.Context, c candidate, kind inspectable) string {
	ask := func(r hop.Request, want int) string {
		status, body, err := hop.Ask(ctx, s.hops[c.Name].Addr, r)
		switch {
		case err != nil:
			return err.Error()
		case status != want:
			return fmt.Sprintf("is answered with %d, not %d", status, want)
		case want == http.StatusOK && len(body) != answerSize:
			return fmt.Sprintf("is answered with %d bytes, not %d", len(body), answerSize)
		}
		return ""
	}
	if why := ask(kind.benign, http.StatusOK); why != "" {
		return "an honest request " + why
	}
	if !c.Inspects {
		return ""
	}
	if why := ask(kind.attack, http.StatusForbidden); why != "" {
		return "an attack " + why
	}
	return ""
}
