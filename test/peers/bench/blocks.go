package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/test/peers/loadgen"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// A block is one program under one load in one round.
type block struct {
	report.Load
	round int
	peer  string
}

// plan lays out all blocks: every program once per load and round, in an order
// shuffled anew each time, so that neither a drifting clock frequency nor a
// neighbour on the machine can favour one of them.
func plan(o options, peers []string) []block {
	rng := rand.New(rand.NewPCG(o.seed, 0))
	var blocks []block
	for _, connections := range o.connections.values {
		for _, size := range o.sizes.values {
			for round := range o.rounds {
				for _, i := range rng.Perm(len(peers)) {
					blocks = append(blocks, block{report.Load{Connections: connections, Size: size}, round, peers[i]})
				}
			}
		}
	}
	return blocks
}

// runBlocks runs them all. Errors of a program are part of its samples; an
// error here ends the run.
func (s *session) runBlocks(ctx context.Context, peers []string, p *progress) ([]report.Sample, error) {
	blocks := plan(s.options, peers)
	samples := make([]report.Sample, 0, len(blocks))
	defer p.end()
	for i, b := range blocks {
		p.block(i, len(blocks), b)
		sample, err := s.runBlock(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", b.peer, err)
		}
		p.sample(sample)
		samples = append(samples, sample)
	}
	return samples, nil
}

// The groups of processes whose clocks the generator reads.
const (
	outboundGroup = "outbound"
	inboundGroup  = "inbound"
	appGroup      = "app"
	idleGroup     = "idle"
)

func (s *session) runBlock(ctx context.Context, b block) (report.Sample, error) {
	h := s.hops[b.peer]
	if err := h.Alive(); err != nil {
		return report.Sample{}, err
	}
	watch := map[string][]int{outboundGroup: h.Outbound, inboundGroup: h.Inbound, appGroup: {s.app.PID()}}
	for name, other := range s.hops {
		if name != b.peer {
			watch[idleGroup] = append(append(watch[idleGroup], other.Outbound...), other.Inbound...)
		}
	}
	result, err := s.generate(ctx, loadgen.Job{
		Addr: h.Addr, Connections: b.Connections, Size: b.Size,
		Warmup: s.options.warmup, Measure: s.options.block, Watch: watch,
	})
	if err != nil {
		return report.Sample{}, errors.Join(err, h.Alive())
	}
	return newSample(b, result), emptyLogs(h.Logs)
}

// generate runs the generator, a new process for each block so that none
// inherits the heap of another.
func (s *session) generate(ctx context.Context, job loadgen.Job) (loadgen.Result, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return loadgen.Result{}, fmt.Errorf("describe the load: %w", err)
	}
	// It has its own time limits; this one is for a generator that hangs.
	const slack = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, job.Warmup+job.Measure+slack)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.self, generateCommand, string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return loadgen.Result{}, fmt.Errorf("generate load: %w %s", errors.Join(context.Cause(ctx), err),
			strings.TrimSpace(complaints.String()))
	}
	var result loadgen.Result
	if err := json.Unmarshal(out, &result); err != nil {
		return loadgen.Result{}, fmt.Errorf("read the generator's result: %w", err)
	}
	return result, nil
}

// newSample turns clocks and counts into figures per request. A block in which
// nothing completed is void even if no connection broke.
func newSample(b block, r loadgen.Result) report.Sample {
	s := report.Sample{
		Load: b.Load, Round: b.round, Peer: b.peer,
		Requests: r.Requests, Errors: r.Errors, FirstError: r.FirstError,
	}
	if r.Requests == 0 && s.Errors == 0 {
		s.Errors, s.FirstError = 1, "no request completed"
	}
	out, in := r.CPU[outboundGroup], r.CPU[inboundGroup]
	both := out.Add(in)
	if n := float64(r.Requests); n > 0 {
		s.CPUMicros, s.OutboundMicros, s.InboundMicros = micros(both.Total)/n, micros(out.Total)/n, micros(in.Total)/n
		s.UserMicros, s.SystemMicros = micros(both.User)/n, micros(both.System)/n
		s.Throughput = n / r.Elapsed.Seconds()
		s.P50Micros, s.P99Micros = micros(r.P50), micros(r.P99)
	}
	s.IdlePeersMillis = micros(r.CPU[idleGroup].Total) / 1e3
	ours := both.Total + r.CPU[appGroup].Total + r.CPU[idleGroup].Total + r.Own.Total
	if available := r.Elapsed.Seconds() * float64(processors()); available > 0 {
		// Read from counters of different grain, so it may come out below zero.
		s.ForeignShare = max((r.Machine.Work-ours).Seconds()/available, 0)
		s.StolenShare = r.Machine.Steal.Seconds() / available
	}
	return s
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// emptyLogs keeps the access logs of a long run from filling the disk. The
// programs append, so they go on at the beginning.
func emptyLogs(paths []string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// HAProxy's is a ring of fixed size, mapped into its memory: cutting it
		// would kill the program.
		if err == nil && info.Size() > ringSize {
			err = os.Truncate(path, 0)
		}
		if err != nil {
			return fmt.Errorf("empty an access log: %w", err)
		}
	}
	return nil
}
