package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/testkit/session"
	"github.com/outrider-mesh/outrider/loadtest/attack"
)

var update = flag.Bool("update", false, "rewrite the golden files in the sessions")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"outrider-load": main})
}

// TestScripts runs the sessions in testdata/script, each a command line user's
// point of view.
func TestScripts(t *testing.T) {
	const least = 17
	session.Run(t, least, *update, session.Commands{
		"waf": startWAF, "samples": samples, "nobody": nobody, "steady": steady,
		"target": startTarget, "process": new(processes).process, "interrupt": interrupt, "orphans": orphans,
		"shorttmp": shortTemp, "measured": measured, "fill": fill,
	})
}

// waf KIND starts a target and sets URL and, for those that write one, LOG.
//
//	blocks    answers 403 where the word evil stands
//	detects   answers 200, and writes an access log as an Outrider does
//	dead      answers 502
func startWAF(ts *testscript.TestScript, _ bool, args []string) {
	kind := strings.Join(args, " ")
	log, err := os.OpenFile(ts.MkAbs("access.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		evil := strings.Contains(r.RequestURI, "evil")
		switch {
		case kind == "dead":
			w.WriteHeader(http.StatusBadGateway)
		case kind == "blocks" && evil:
			w.WriteHeader(http.StatusForbidden)
		case kind == "detects":
			outcome, rules := "clean", ""
			if evil {
				outcome, rules = "detected", "942100"
			}
			fmt.Fprintf(log, `{"decision_id":"d","trace":%q,"waf":{"outcome":%q,"rules":[%s]}}`+"\n", r.Header.Get("Traceparent"), outcome, rules)
		}
	}))
	ts.Defer(func() {
		s.Close()
		log.Close()
	})
	ts.Setenv("URL", s.URL)
	ts.Setenv("LOG", ts.MkAbs("access.log"))
}

// nobody sets URL to one where nobody listens.
func nobody(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	l.Close()
	ts.Setenv("URL", "http://"+l.Addr().String())
}

// samples DIR BLACK WHITE writes so many attacks and benign requests.
func samples(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	for i, form := range []struct{ suffix, target string }{{"black", "/?q=evil"}, {"white", "/?q=good"}} {
		n, err := strconv.Atoi(args[1+i])
		ts.Check(err)
		for k := range n {
			name := filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("%03d.%s", k, form.suffix))
			ts.Check(os.WriteFile(name, []byte("GET "+form.target+" HTTP/1.1\nHost: a\n\n"), 0o600))
		}
	}
}

// steady FILE replaces what differs from run to run.
func steady(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, r := range []struct{ from, to string }{
		{regexp.QuoteMeta(ts.Getenv("URL")), "URL"},
		{regexp.QuoteMeta(strings.TrimPrefix(ts.Getenv("URL"), "http://")), "HOST"},
		{` in [0-9.]+m?s\n`, " in TIME\n"},
		{`[0-9.]+(ms|µs)`, "TIME"},
		{`(?m)^  TIME .*\n`, ""}, // the slowest, whichever they are
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func TestProgressIsForTerminals(t *testing.T) {
	var b strings.Builder
	p := newAttackProgress(&b)
	p.show(attack.Progress{Done: 1, All: 2, Failed: 1})
	p.end()
	if b.Len() > 0 {
		t.Errorf("%q", b.String())
	}
	p.terminal = true
	p.show(attack.Progress{Done: 1, All: 2, Failed: 1})
	p.end()
	if want := "\r\x1b[K1 of 2 samples sent, 1 not answered\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// A file that cannot be completed is not there.
func TestFilesAreWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	broken := errors.New("broken")
	err := writeFile(path, func(w io.Writer) error {
		io.WriteString(w, "half")
		return broken
	})
	if left, _ := os.ReadDir(dir); !errors.Is(err, broken) || len(left) > 0 {
		t.Errorf("%v, %v", err, left)
	}
	if err := writeFile(filepath.Join(dir, "no", "x"), func(io.Writer) error { return nil }); err == nil {
		t.Error("a file in a directory that is not there was written")
	}
}

// What is there and no plain file is written to; it is not made a plain file, which
// of /dev/null would be the end of the machine.
func TestAPipeIsWrittenToAndStaysAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writable(path); err != nil { // and it waits for no reader
		t.Error(err)
	}
	read := make(chan string, 1)
	go func() {
		text, err := os.ReadFile(path)
		read <- fmt.Sprint(string(text), err)
	}()
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "whole")
		return err
	}
	if err := writeFile(path, write); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("%v, %v", info, err) // and nobody writes to the reader
	}
	if got := <-read; got != "whole<nil>" {
		t.Errorf("%q", got)
	}
}

func TestAttackShare(t *testing.T) {
	for text, want := range map[string]float64{"70%": 0.7, "0%": 0, "100%": 1, "0.05%": 0.0005} {
		if got, err := attackShare("x", text); err != nil || got == nil || *got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got, err := attackShare("x", ""); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	for _, bad := range []string{"70", "-1%", "101%", "x%", "%", "NaN%"} {
		if got, err := attackShare("x", bad); err == nil {
			t.Errorf("%q: %v", bad, *got)
		}
	}
}

// An interrupted replay says so and has no verdict.
func TestAnInterruptedCommandIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.black"), []byte("GET / HTTP/1.1\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := attackWAF(ctx, []string{dir, "--url", "http://127.0.0.1:1"}, cli.Environment{
		Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &out,
	})
	if !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}
