package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/lossy/wire"
)

// insideEnv marks the process that does the work, in a namespace of its own.
const insideEnv = "OUTRIDER_LOSSY_INSIDE"

var errNotRoot = errors.New("it needs root, to make network namespaces: NOTHING was measured")

// Run is the benchmark: args are its command line.
func Run(ctx context.Context, args []string, std Streams) error {
	o, err := parseOptions(args, std.Err)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	if o.markdown != "" {
		if err := Page().Check(o.markdown); err != nil {
			return err
		}
	}
	if os.Getenv(insideEnv) == "" {
		return again(ctx, args, std)
	}
	r := &Report{
		Date: time.Now(), Command: append([]string{"go", "run", "./test/lossy"}, args...), Machine: watch.DescribeMachine(),
		RoundTrip: o.roundTrip, Rounds: o.rounds, Block: o.block, Warmup: o.warmup, Congestion: cmp.Or(o.congestion, systemCongestion()), Seed: o.seed,
	}
	if err := r.measure(ctx, o, std); err != nil {
		return err
	}
	return r.write(o, std)
}

// systemCongestion is what TCP has where nobody says otherwise.
func systemCongestion() string {
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return "an unknown congestion control"
	}
	return strings.TrimSpace(string(text))
}

// again runs this program once more in a namespace of its own. The whole process has
// to be in it, for the generator's connections are made by any of its threads.
func again(ctx context.Context, args []string, std Streams) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own executable: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = std.Out, std.Err
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("in a network namespace: %w", err)
	}
	return nil
}

// measure starts the mesh and carries out every load.
func (r *Report) measure(ctx context.Context, o options, std Streams) (err error) {
	m, err := startMesh(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close(ctx)) }()
	for _, l := range loads() {
		if o.only != "" && o.only != l.Name {
			continue
		}
		roundTrip := o.roundTrip
		if l.Rate == 0 {
			roundTrip = 0
		}
		for _, loss := range l.losses(o) {
			m.wire.Set(wire.Path{Delay: roundTrip / 2, Loss: loss})
			c, err := m.compare(ctx, o, l)
			if err != nil {
				return err
			}
			c.Loss = loss
			r.Cells = append(r.Cells, c)
			fmt.Fprintln(std.Err, c.progress())
		}
	}
	r.There, r.Back = m.wire.Counts()
	return m.checkWays()
}

// compare loads both ways in turns.
func (m *mesh) compare(ctx context.Context, o options, l Load) (Cell, error) {
	plan := compare.Plan{Callers: l.Callers, Rounds: o.rounds, Warmup: o.warmup, Block: o.block, Seed: o.seed, Poisson: true}
	if l.Rate > 0 {
		plan.Rate = pace.Constant(l.Rate)
	}
	for _, way := range ways() {
		to, err := l.target(listenAt(l.listener, way))
		if err != nil {
			return Cell{}, err
		}
		plan.Targets = append(plan.Targets, compare.Subject{Name: way, Target: to, Watch: m.watched()})
	}
	measured, err := compare.Run(ctx, plan)
	if err != nil {
		return Cell{}, fmt.Errorf("%s: %w", l.Name, err)
	}
	return summarise(l, measured, o.seed), m.alive()
}

// write writes the report in every form that was asked for. A page is left as it is
// after a run in which a request failed.
func (r *Report) write(o options, std Streams) error {
	var wrong error
	if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.TCP.Failed+c.QUIC.Failed > 0 }) {
		wrong = errors.New("requests failed: see the figures")
	}
	if wrong == nil && o.markdown != "" {
		wrong = Page().Write(o.markdown, r.Markdown())
	}
	_, err := fmt.Fprint(std.Out, r.Markdown())
	if o.json != "" {
		text, encodeErr := json.MarshalIndent(r, "", "  ")
		err = errors.Join(err, encodeErr, os.WriteFile(o.json, append(text, '\n'), 0o644))
	}
	return errors.Join(err, wrong)
}
