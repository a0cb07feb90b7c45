package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files in the sessions")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl-outrider": main})
}

// TestScripts runs the sessions in testdata/script, each a command line user's
// point of view.
func TestScripts(t *testing.T) {
	const dir, least = "testdata/script", 2
	sessions, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(sessions) < least {
		t.Errorf("only %d sessions", len(sessions))
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits STATUS COMMAND... runs a command and compares its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status command [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if status, ok := errors.AsType[*exec.ExitError](err); ok {
		got = status.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
