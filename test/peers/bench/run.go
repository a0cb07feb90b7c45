package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/page"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// A benchmark is one run.
type benchmark struct {
	options   options
	self      string // our own executable
	catalogue []proxies.Entry
	progress  *progress
	report    *report.Report
	// plain are who takes part in the first two parts, inspecting in the third;
	// bases are the latter without inspection. calling are of the fourth, holding of
	// the fifth.
	plain, inspecting, bases, calling, holding []candidate
}

// runBenchmark is the benchmark: find, start, load in turn, report.
func runBenchmark(ctx context.Context, args []string, std Streams) error {
	o, err := parseOptions(args, std.Err)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own executable: %w", err)
	}
	b := &benchmark{
		options: o, self: self, progress: newProgress(std.Err),
		catalogue: proxies.Catalogue(proxies.Paths{Outrider: o.outrider, Envoy: o.envoy, Self: self}),
		report: &report.Report{
			Date:    time.Now(),
			Command: append([]string{"go", "run", "./test/peers"}, args...),
			Machine: watch.DescribeMachine(),
			Setup: report.Setup{
				Rounds: o.rounds, BlockSeconds: o.block.Seconds(), WarmupSeconds: o.warmup.Seconds(),
				Workers: o.workers, Seed: o.seed, Fairness: fairness(o.workers),
			},
			Absent: map[string]string{},
		},
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.write(std.Out)
}

// prepare finds out everything that would otherwise fail after minutes.
func (b *benchmark) prepare(ctx context.Context) (err error) {
	for _, name := range b.options.only.values {
		if !slices.ContainsFunc(b.catalogue, func(e proxies.Entry) bool { return e.Name == name }) {
			return fmt.Errorf("--only names %q, which is no program we know", name)
		}
	}
	if b.options.runs(enginesPart) {
		b.prepareEngines()
	}
	if b.options.runs(hopPart) || b.options.runs(ratePart) {
		if b.plain, err = b.locate(ctx, forwards, b.report.Absent); err != nil {
			return err
		}
	}
	if b.options.runs(inspectionPart) {
		if err := b.prepareInspection(ctx); err != nil {
			return err
		}
	}
	if b.options.runs(grpcPart) {
		if err := b.prepareCalls(ctx); err != nil {
			return err
		}
	}
	if b.options.runs(memoryPart) {
		if err := b.prepareMemory(ctx); err != nil {
			return err
		}
	}
	if b.options.markdown != "" {
		page, _ := b.page()
		return page.Check(b.options.markdown)
	}
	return nil
}

// page is where the report belongs, and what is written there: the memory of what
// inspects is a page's part of its own.
func (b *benchmark) page() (page.Part, func() string) {
	if slices.Equal(b.options.parts.values, []string{memoryPart}) {
		return report.HeldPage(), b.report.HeldMarkdown
	}
	return b.report.Page(), b.report.Markdown
}

// measure runs the parts that were asked for.
func (b *benchmark) measure(ctx context.Context) error {
	defer b.progress.end()
	b.expect()
	if b.options.runs(enginesPart) {
		if err := b.measureEngines(ctx); err != nil {
			return err
		}
	}
	if len(b.plain) > 0 {
		if err := b.withSession(ctx, b.plain, b.measureHop); err != nil {
			return err
		}
	}
	if len(b.inspecting) > 0 {
		if err := b.withSession(ctx, slices.Concat(b.inspecting, b.bases), b.measureInspection); err != nil {
			return err
		}
	}
	if len(b.calling) > 0 {
		if err := b.withSession(ctx, b.calling, b.measureCalls); err != nil {
			return err
		}
	}
	return b.measureMemory(ctx)
}

// expect tells the progress about every trial.
func (b *benchmark) expect() {
	if b.options.runs(hopPart) {
		b.progress.expect(b.closedLoops()...)
	}
	if b.options.runs(ratePart) {
		b.progress.expect(b.openLoop())
	}
	if b.options.runs(grpcPart) {
		b.progress.expect(b.callLoop())
	}
	if b.options.runs(inspectionPart) {
		for i, kind := range inspectables() {
			b.progress.expect(b.closedInspection(i, kind, b.everybody(kind)))
			if b.options.open.rounds > 0 && !kind.refused {
				b.progress.expect(b.openInspection(i, kind, names(b.inspecting), 1))
			}
		}
	}
}

// measureHop is the first part, closed loops, and the second, an open one.
func (b *benchmark) measureHop(ctx context.Context, s *session) (err error) {
	if err := s.checkAnswers(ctx, append(b.options.sizes.values, answerSize)); err != nil {
		return err
	}
	rep := b.report
	rep.Peers = s.describe()
	if rep.Memory, err = s.idleMemory(); err != nil {
		return err
	}
	if b.options.runs(hopPart) {
		for _, t := range b.closedLoops() {
			samples, err := s.run(ctx, t, b.progress)
			if err != nil {
				return err
			}
			rep.Samples = append(rep.Samples, samples...)
		}
		rep.Cells = report.Summarise(rep.Samples, names(b.plain), report.Rivals())
	}
	if b.options.runs(ratePart) {
		if rep.Open, err = b.measureOpen(ctx, s, b.openLoop()); err != nil {
			return err
		}
	}
	return s.memoryAfter(rep.Memory)
}

// measureOpen runs an open loop and sums it up.
func (b *benchmark) measureOpen(ctx context.Context, s *session, t trial) (*report.Open, error) {
	samples, err := s.run(ctx, t, b.progress)
	if err != nil {
		return nil, err
	}
	open := report.SummariseOpen(samples, t.peers, t.seed)
	open.BlockSeconds, open.WarmupSeconds = t.block.Seconds(), t.warmup.Seconds()
	return open, nil
}

// write writes the report in every form that was asked for. A page is left as it
// is after a run in which something failed.
func (b *benchmark) write(out io.Writer) error {
	wrong := failed(b.report.All())
	if wrong == nil && b.options.markdown != "" {
		page, text := b.page()
		wrong = page.Write(b.options.markdown, text())
	}
	return errors.Join(b.report.WriteTable(out), writeJSON(b.options.json, b.report), wrong)
}

func writeJSON(path string, rep *report.Report) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
