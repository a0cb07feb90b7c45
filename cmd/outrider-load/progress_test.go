package main

import (
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
)

// A file gets a line for each tenth of the way, so that a log is not all progress.
func TestProgressInAFileIsALineForEachTenth(t *testing.T) {
	var b strings.Builder
	p := newProgress(&b)
	p.begin("get")
	const all = 60
	for done := range all {
		for range 4 { // reports of the block under way
			p.show(compare.Progress{Done: done, All: all, Target: "mesh", Left: time.Duration(all-done) * 1200 * time.Millisecond})
		}
	}
	p.end()
	p.begin("put")
	p.show(compare.Progress{All: 2, Left: time.Second})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 11 || lines[0] != "get: 0 of 60 turns done, 1m12s left" || lines[9] != "get: 54 of 60 turns done, 7s left" ||
		lines[10] != "put: 0 of 2 turns done, 1s left" {
		t.Errorf("%d lines:\n%s", len(lines), b.String())
	}
}

// On a terminal there is one line, which is rewritten and never wrapped.
func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var b strings.Builder
	p := newProgress(&b)
	p.terminal = true
	p.begin("get")
	p.show(compare.Progress{Done: 3, All: 60, Target: "mesh", Left: time.Minute})
	so := &load.Result{Latency: hist.New()}
	for range 3 {
		so.Latency.Record(250 * time.Microsecond)
	}
	p.show(compare.Progress{Done: 3, All: 60, Target: "mesh", Left: time.Minute, Result: so})
	p.end()
	const line = "\r\x1b[K\x1b[?7l"
	want := line + "get: turn 4 of 60, 1m0s left, mesh\x1b[?7h" +
		line + "get: turn 4 of 60, 1m0s left, mesh: 3 requests, 0 failed, p50 250µs, p99 250µs\x1b[?7h" +
		"\r\x1b[K"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestShortLatencies(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Nanosecond: "1µs", 999400 * time.Nanosecond: "999µs", 1234567 * time.Nanosecond: "1.23ms",
		123456 * time.Microsecond: "123.46ms", 1234 * time.Millisecond: "1.23s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
