package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// compare is the benchmark: find, start, load in turn, report.
func compare(ctx context.Context, args []string, std Streams) error {
	o, err := parseOptions(args, std.Err)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own executable: %w", err)
	}
	rep := &report.Report{
		Date:    time.Now(),
		Command: append([]string{"go", "run", "./test/peers"}, args...),
		Machine: watch.DescribeMachine(),
		Setup: report.Setup{
			Rounds:        o.rounds,
			BlockSeconds:  o.block.Seconds(),
			WarmupSeconds: o.warmup.Seconds(),
			Workers:       o.workers,
			Seed:          o.seed,
			Fairness:      fairness(o.workers),
		},
		Absent: map[string]string{},
	}
	found, err := locate(ctx, o, self, rep.Absent)
	if err != nil {
		return err
	}
	if err := measure(ctx, found, o, self, rep, newProgress(std.Err)); err != nil {
		return err
	}
	rep.Cells = report.Summarise(rep.Samples, names(found))
	return errors.Join(rep.WriteTable(std.Out), writeJSON(o.json, rep), failed(rep.Samples))
}

// A candidate is a program that was asked for and is here.
type candidate struct {
	proxies.Entry
	install proxies.Install
}

func names(found []candidate) []string {
	all := make([]string, len(found))
	for i, c := range found {
		all[i] = c.Name
	}
	return all
}

// locate finds the programs that take part. One that is absent is noted and
// left out, unless it was asked for by name.
func locate(ctx context.Context, o options, self string, absent map[string]string) ([]candidate, error) {
	catalogue := proxies.Catalogue(proxies.Paths{Outrider: o.outrider, Envoy: o.envoy, Self: self})
	for _, name := range o.only.values {
		if !slices.ContainsFunc(catalogue, func(e proxies.Entry) bool { return e.Name == name }) {
			return nil, fmt.Errorf("--only names %q, which is no program we know", name)
		}
	}
	var found []candidate
	for _, entry := range catalogue {
		if !o.wants(entry.Name, entry.Default) {
			continue
		}
		install, err := entry.Program.Locate(ctx)
		switch {
		case errors.Is(err, proxies.ErrAbsent) && len(o.only.values) == 0:
			absent[entry.Name] = err.Error()
		case err != nil:
			return nil, err
		default:
			found = append(found, candidate{entry, install})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("compare proxies: %w: none of those asked for", proxies.ErrAbsent)
	}
	return found, nil
}

// measure starts everything, runs every block and ends everything again.
func measure(ctx context.Context, found []candidate, o options, self string, rep *report.Report, p *progress) (err error) {
	dir, err := os.MkdirTemp("", "outrider-peers-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &session{options: o, self: self, dir: dir, hops: map[string]*hop.Hop{}}
	defer s.close()
	if err := s.start(ctx, found, p); err != nil {
		return err
	}
	rep.Peers = s.describe(found)
	if rep.Memory, err = s.idleMemory(found); err != nil {
		return err
	}
	if rep.Samples, err = s.runBlocks(ctx, names(found), p); err != nil {
		return err
	}
	return s.memoryAfter(rep.Memory)
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

// failed makes a run with wrong answers an error, after its report.
func failed(samples []report.Sample) error {
	void := 0
	for _, s := range samples {
		if s.Errors > 0 {
			void++
		}
	}
	if void == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d blocks had errors", void, len(samples))
}

// fairness says what a reader must know to believe the numbers.
func fairness(workers int) []string {
	each := "one worker thread or process per processor for each proxy (the sidecar: one for all, which is its default)"
	if workers > 0 {
		each = fmt.Sprintf("%d worker threads or processes for each proxy", workers)
	}
	return []string{
		"HTTP/1.1 keep-alive and pooled connections on all three legs; loopback; handshakes are not measured",
		"TLS 1.3 only, TLS_AES_128_GCM_SHA256, ECDSA P-256 certificates, both ends verified, no resumption",
		"key exchange X25519 for the peers (their OpenSSL has no ML-KEM), X25519MLKEM768 for Outrider",
		"access log of every request on both sides, buffered (HAProxy: a ring in a mapped file, no system call)",
		"Outrider also authorizes every request and names the caller to the app, Envoy names the caller; nginx and HAProxy do neither",
		each,
		"all programs run all the time; CPU time of those not under test is in the JSON as idle_peers_ms",
	}
}
