package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// whole makes the test's executable the whole benchmark, as a user starts it.
const whole = "whole-benchmark"

// TestMain also plays every part of the benchmark, as the real executable does.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == whole {
		args = args[1:]
	} else if !IsPart(args) {
		goleak.VerifyTestMain(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := Run(ctx, args, Streams{Out: os.Stdout, Err: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// short are options for a run of a few seconds.
func short(more ...string) []string {
	return append([]string{
		"--connections", "1,4", "--size", "0,1024", "--rounds", "1", "--block", "700ms", "--warmup", "50ms",
		"--callers", "4", "--rate", "200", "--open-rounds", "1", "--open-block", "300ms", "--workers", "1", "--seed", "1",
	}, more...)
}

// measured runs the benchmark, and returns what it has written to the file and to its
// output.
func measured(t *testing.T, file string, args ...string) (rep report.Report, table string) {
	t.Helper()
	var out, log bytes.Buffer
	if err := Run(t.Context(), append(args, "--json", file), Streams{Out: &out, Err: &log}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	return rep, out.String()
}

func TestTheWholeBenchmarkWithTheReferenceProxy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	file, page, part := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.md"), (&report.Report{}).Page()
	if err := os.WriteFile(page, []byte("Mine.\n"+part.Begin+"\n"+part.End+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, table := measured(t, file, short("--parts", "hop,rate,inspection", "--only", "nethttp,nethttp+filter", "--markdown", page)...)
	checkHop(t, rep)
	checkOpen(t, rep.Open, report.Direct, "nethttp")
	checkInspection(t, rep.Inspection)
	checkMemory(t, append(rep.Memory, rep.Inspection.Memory...))
	for _, want := range []string{"4 connections, 1 KiB", "nethttp", "Resident memory", "Open loop: 4 connections", "Inspection", "POST, JSON of 1 KiB"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(written), "Mine.\n") || !strings.Contains(string(written), "### Inspection") {
		t.Errorf("the page is %q, %v", written, err)
	}
	nothingLeft(t, os.Getenv("TMPDIR"))
}

func checkHop(t *testing.T, rep report.Report) {
	t.Helper()
	if len(rep.Samples) != 4 || len(rep.Cells) != 4 || len(rep.Memory) != 1 || len(rep.Peers) != 1 {
		t.Errorf("%d samples, %d cells, %d memories, %d peers; want 4, 4, 1, 1",
			len(rep.Samples), len(rep.Cells), len(rep.Memory), len(rep.Peers))
	}
	for _, s := range rep.Samples {
		if s.Requests == 0 || s.Errors != 0 || s.OutboundMicros <= 0 || s.InboundMicros <= 0 || s.P50Micros <= 0 {
			t.Errorf("implausible sample %+v", s)
		}
	}
}

// checkOpen looks at an open loop of one round with these peers.
func checkOpen(t *testing.T, o *report.Open, peers ...string) {
	t.Helper()
	if o == nil || len(o.Samples) != len(peers) || len(o.Results) != len(peers) || o.BlockSeconds != 0.3 {
		t.Fatalf("open loop of %d peers: %+v", len(peers), o)
	}
	for i, r := range o.Results {
		if r.Peer != peers[i] || r.Requests == 0 || r.Errors > 0 || r.P50Micros <= 0 || (r.CPUMicros > 0) != (r.Peer != report.Direct) {
			t.Errorf("implausible result %+v", r)
		}
	}
}

func checkInspection(t *testing.T, in *report.Inspection) {
	t.Helper()
	if len(in.Peers) != 2 || len(in.Requests) != 8 || len(in.Memory) != 2 {
		t.Errorf("%d peers, %d requests, %d memories; want 2, 8, 2", len(in.Peers), len(in.Requests), len(in.Memory))
	}
	for _, req := range in.Requests {
		want := 2
		if strings.HasSuffix(req.Name, "injection") {
			want = 1 // what inspects nothing refuses nothing
		}
		if len(req.Closed.Results) != want || len(req.Samples) != want {
			t.Errorf("%s: %+v", req.Name, req.Closed)
		}
		for _, r := range req.Closed.Results {
			if r.CPUMicros <= 0 || r.Throughput <= 0 || r.Errors > 0 {
				t.Errorf("%s: implausible result %+v", req.Name, r)
			}
		}
		if want == 2 {
			checkOpen(t, req.Open, report.Direct, "nethttp+filter")
		}
	}
}

func checkMemory(t *testing.T, memory []report.Memory) {
	t.Helper()
	for _, m := range memory {
		for _, side := range []watch.Memory{m.OutboundIdle, m.OutboundAfter, m.InboundIdle, m.InboundAfter} {
			if side.RSS <= 0 || side.Anon <= 0 {
				t.Errorf("implausible memory %+v", side)
			}
		}
	}
}

func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(self, whole, "--only", "nethttp", "--quick", "--block", "1h")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	// The line before the first block: by then everything has been started.
	said := make([]byte, 64)
	n, err := r.Read(said)
	if err != nil || !strings.HasPrefix(string(said[:n]), "0 of 2 blocks") {
		t.Fatalf("said %q, %v", said[:n], err)
	}
	tree, err := watch.Tree(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) < 4 {
		t.Errorf("processes are %v, want itself, the app and two proxies at least", tree)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit status 1", err)
	}
	for _, pid := range tree {
		// It waited for all of them, so they are not even zombies.
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v, want none", pid, err)
		}
	}
	nothingLeft(t, tmp)
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left behind: %s", entry.Name())
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	cases := [][]string{
		{"--connections", "0"},
		{"--connections", "1,,2"},
		{"--connections", "many"},
		{"--connections", "5000"},
		{"--size", "-1"},
		{"--size", "1e9"},
		{"--rounds", "0"},
		{"--block", "0s"},
		{"--warmup", "-1s"},
		{"--workers", "-1"},
		{"--only", ""},
		{"--only", "apache"},
		{"--rate", "0"},
		{"--rate", "NaN"},
		{"--callers", "0"},
		{"--open-rounds", "0"},
		{"--open-block", "0s"},
		{"--waf-connections", "0"},
		{"--waf-rate", "-1"},
		{"--parts", "gate"},
		{"--parts", ""},
		{"extra"},
		{"--nonsense"},
		{"--only", "outrider", "--outrider", "/nonexistent"},
		{"--only", "nethttp", "--parts", "inspection"},
		{"--only", "nethttp+filter"},
		{"--only", "nethttp", "--markdown", "/nonexistent"},
		{"app", "extra"},
		{"nethttp"},
		{"nethttp", "a", "b"},
	}
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, args := range cases {
		var out, log bytes.Buffer
		if err := Run(t.Context(), args, Streams{Out: &out, Err: &log}); err == nil || errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: error is %v", args, err)
		}
		if out.Len() > 0 {
			t.Errorf("%q: wrote %q", args, out.String())
		}
	}
}

func TestQuickGivesWayToWhatIsSaid(t *testing.T) {
	o, err := parseOptions([]string{"--quick", "--connections", "7, 9", "--block", "3s"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{o.connections.values, o.sizes.values, o.rounds, o.block, o.warmup, o.seed != 0}
	want := []any{[]int{7, 9}, []int{1024}, 2, 3 * time.Second, 200 * time.Millisecond, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryLoadIsATrialWithAnOrderOfItsOwn(t *testing.T) {
	b := &benchmark{options: defaults()}
	b.options.seed = 42
	for _, name := range []string{"a", "b", "c", "d"} {
		b.plain = append(b.plain, candidate{Entry: proxies.Entry{Name: name}})
	}
	trials := b.closedLoops()
	loads, seeds, blocks := map[report.Load]bool{}, map[uint64]bool{}, 0
	for _, trial := range trials {
		loads[trial.Load], seeds[trial.seed] = true, true
		blocks += trial.blocks()
		if want := fmt.Sprintf("/%d", trial.Size); trial.request.Target != want || trial.Rate != 0 {
			t.Errorf("%s: asks for %s", trial.Load, trial.request.Target)
		}
	}
	if len(trials) != 9 || len(loads) != 9 || len(seeds) != 9 || blocks != 3*3*5*4 {
		t.Errorf("%d trials, %d loads, %d seeds, %d blocks", len(trials), len(loads), len(seeds), blocks)
	}
	if diff := cmp.Diff(trials, b.closedLoops(), cmp.AllowUnexported(trial{})); diff != "" {
		t.Errorf("the same seed made other trials: %s", diff)
	}
}

// made is a block in which n requests took a millisecond each.
func made(n int) *load.Result {
	r := &load.Result{Latency: hist.New(), Late: hist.New(), Failures: map[target.Kind]int64{}}
	for range n {
		r.Latency.Record(time.Millisecond)
		r.Late.Record(2 * time.Millisecond)
	}
	return r
}

func TestASampleDividesClocksByRequests(t *testing.T) {
	const ms = time.Millisecond
	what := trial{Load: report.Load{Connections: 2, Size: 3}, block: 2 * time.Second}
	r := made(1000)
	r.Queued, r.Unsent = 3, 4
	// The clocks were read over a twentieth more than the block.
	r.Spent = watch.Spent{Elapsed: 2100 * ms, Groups: map[string]watch.CPU{
		outboundGroup: {Total: 42 * ms, User: 21 * ms, System: 21 * ms},
		inboundGroup:  {Total: 63 * ms, User: 42 * ms, System: 21 * ms},
		idleGroup:     {Total: 2 * ms},
	}}
	r.Spent.Own.Total = 20 * ms
	r.Spent.Machine.Steal = r.Spent.Elapsed * time.Duration(runtime.NumCPU()) / 4
	want := report.Sample{
		Load: what.Load, Round: 4, Peer: "x", Requests: 1000, IdlePeersMillis: 2, StolenShare: 0.25, GeneratorMicros: 20,
		Figures: report.Figures{
			CPUMicros: 100, OutboundMicros: 40, InboundMicros: 60, UserMicros: 60, SystemMicros: 40,
			Throughput: 500, P50Micros: 1000, P99Micros: 1000,
		},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-3*math.Abs(a) })
	if diff := cmp.Diff(want, newSample(what, "x", 4, r), near); diff != "" {
		t.Error(diff)
	}
	what.Rate = 500
	want.Rate = 500
	want.Arrivals = report.Arrivals{LateP99Micros: 2000, Queued: 3, Unsent: 4}
	if diff := cmp.Diff(want, newSample(what, "x", 4, r), near); diff != "" {
		t.Errorf("of an open loop: %s", diff)
	}
}

func TestWhatMakesABlockVoid(t *testing.T) {
	what := trial{block: time.Second}
	inWarmup := made(10)
	inWarmup.Outside, inWarmup.FirstOutside = 1, "early"
	both := made(10)
	both.Failures[target.Status], both.First = 2, "status"
	both.Outside, both.FirstOutside = 1, "early"
	cases := []struct {
		name   string
		result *load.Result
		errors int
		first  string
	}{
		{"nothing", made(10), 0, ""},
		{"no request", made(0), 1, "no request completed"},
		{"a failure of the warm-up", inWarmup, 1, "early"},
		{"failures of the block first", both, 3, "status"},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		c.result.Spent.Elapsed = time.Second
		s := newSample(what, "x", 0, c.result)
		if s.Errors != c.errors || s.FirstError != c.first {
			t.Errorf("%s: %d errors, the first %q", c.name, s.Errors, s.FirstError)
		}
		if (failed([]report.Sample{{}, s}) != nil) != (c.errors > 0) {
			t.Errorf("%s: a run fails exactly when a block is void", c.name)
		}
	}
}
