package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/loadgen"
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
	err := Run(ctx, args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestTheWholeBenchmarkWithTheReferenceProxy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "report.json")
	var out, log bytes.Buffer
	err := Run(t.Context(), []string{
		"--only", "nethttp", "--connections", "1,4", "--size", "0,1024", "--rounds", "1",
		"--block", "700ms", "--warmup", "50ms", "--workers", "1", "--seed", "1", "--json", file,
	}, Streams{Out: &out, Err: &log})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Samples) != 4 || len(rep.Cells) != 4 || len(rep.Memory) != 1 || len(rep.Peers) != 1 {
		t.Errorf("%d samples, %d cells, %d memories, %d peers; want 4, 4, 1, 1",
			len(rep.Samples), len(rep.Cells), len(rep.Memory), len(rep.Peers))
	}
	for _, s := range rep.Samples {
		if s.Requests == 0 || s.Errors != 0 || s.OutboundMicros <= 0 || s.InboundMicros <= 0 || s.P50Micros <= 0 {
			t.Errorf("implausible sample %+v", s)
		}
	}
	for _, m := range rep.Memory {
		for _, side := range []watch.Memory{m.OutboundIdle, m.OutboundAfter, m.InboundIdle, m.InboundAfter} {
			if side.RSS <= 0 || side.Anon <= 0 {
				t.Errorf("implausible memory %+v", side)
			}
		}
	}
	for _, want := range []string{"4 connections, 1 KiB", "nethttp", "Resident memory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	nothingLeft(t, os.Getenv("TMPDIR"))
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
		{"extra"},
		{"--nonsense"},
		{"--only", "outrider", "--outrider", "/nonexistent"},
		{"app"},
		{"generate", "a", "b"},
		{"generate", "{}"},
	}
	if len(cases) < 18 {
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

func TestThePlanHoldsEveryBlockOnceAndShufflesPeersWithinTheRound(t *testing.T) {
	o := defaults()
	o.seed = 42
	peers := []string{"a", "b", "c", "d"}
	blocks := plan(o, peers)
	if want := 3 * 3 * 5 * 4; len(blocks) != want {
		t.Fatalf("%d blocks, want %d", len(blocks), want)
	}
	seen, orders := map[block]int{}, map[string]int{}
	for i := 0; i < len(blocks); i += len(peers) {
		order := ""
		for _, b := range blocks[i : i+len(peers)] {
			seen[b]++
			order += b.peer
			if b.Load != blocks[i].Load || b.round != blocks[i].round {
				t.Errorf("block %+v is not with its round", b)
			}
		}
		orders[order]++
	}
	if len(seen) != len(blocks) {
		t.Errorf("%d different blocks of %d", len(seen), len(blocks))
	}
	if len(orders) < 10 {
		t.Errorf("only %d different orders in 45 rounds", len(orders))
	}
	if diff := cmp.Diff(blocks, plan(o, peers), cmp.AllowUnexported(block{})); diff != "" {
		t.Errorf("the same seed made another plan: %s", diff)
	}
}

func TestASampleDividesClocksByRequests(t *testing.T) {
	ms := time.Millisecond
	b := block{report.Load{Connections: 2, Size: 3}, 4, "x"}
	got := newSample(b, loadgen.Result{
		Requests: 1000, Elapsed: 2 * time.Second, P50: 5 * ms, P99: 6 * ms,
		CPU: map[string]watch.CPU{
			outboundGroup: {Total: 30 * ms, User: 10 * ms, System: 20 * ms},
			inboundGroup:  {Total: 50 * ms, User: 30 * ms, System: 20 * ms},
			idleGroup:     {Total: 2 * ms},
		},
	})
	want := report.Sample{Load: b.Load, Round: 4, Peer: "x", Requests: 1000, IdlePeersMillis: 2, Figures: report.Figures{
		CPUMicros: 80, OutboundMicros: 30, InboundMicros: 50, UserMicros: 40, SystemMicros: 40,
		Throughput: 500, P50Micros: 5000, P99Micros: 6000,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := newSample(b, loadgen.Result{Elapsed: time.Second}); got.Errors != 1 || got.FirstError == "" {
		t.Errorf("a block without requests is not void: %+v", got)
	}
	if failed([]report.Sample{got}) != nil || failed([]report.Sample{got, {Errors: 1}}) == nil {
		t.Error("a run fails exactly when a block is void")
	}
}
