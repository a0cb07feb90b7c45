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
	// plain are who takes part.
	plain []candidate
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
	if b.options.runs(hopPart) || b.options.runs(ratePart) {
		if b.plain, err = b.locate(ctx, false, b.report.Absent); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the parts that were asked for.
func (b *benchmark) measure(ctx context.Context) error {
	defer b.progress.end()
	b.progress.expect(b.closedLoops()...)
	if len(b.plain) > 0 {
		return b.withSession(ctx, b.plain, b.measureHop)
	}
	return nil
}

// measureHop is the first part: closed loops.
func (b *benchmark) measureHop(ctx context.Context, s *session) (err error) {
	if err := s.checkAnswers(ctx, b.options.sizes.values); err != nil {
		return err
	}
	b.report.Peers = s.describe()
	if b.report.Memory, err = s.idleMemory(); err != nil {
		return err
	}
	for _, t := range b.closedLoops() {
		samples, err := s.run(ctx, t, b.progress)
		if err != nil {
			return err
		}
		b.report.Samples = append(b.report.Samples, samples...)
	}
	b.report.Cells = report.Summarise(b.report.Samples, names(b.plain))
	return s.memoryAfter(b.report.Memory)
}

// closedLoops are every number of connections with every size.
func (b *benchmark) closedLoops() []trial {
	o, trials := b.options, []trial(nil)
	for _, connections := range o.connections.values {
		for _, size := range o.sizes.values {
			trials = append(trials, trial{
				Load: report.Load{Connections: connections, Size: size}, request: plain(size), peers: names(b.plain),
				rounds: o.rounds, warmup: o.warmup, block: o.block, seed: o.seed + uint64(len(trials)),
			})
		}
	}
	return trials
}

// write writes the report in every form that was asked for.
func (b *benchmark) write(out io.Writer) error {
	return errors.Join(b.report.WriteTable(out), writeJSON(b.options.json, b.report), failed(b.report.Samples))
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
