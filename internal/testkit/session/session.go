// Package session runs the sessions of a program: scripts of what a user of its
// command line types and is told.
package session

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands are what the sessions of one program may say beside what testscript knows,
// by name.
type Commands map[string]func(ts *testscript.TestScript, neg bool, args []string)

// dir has the sessions, beside the test that runs them.
const dir = "testdata/script"

// Run runs the sessions of the program whose test this is, of which there are so many
// at least. They may say "exits STATUS COMMAND..." and the commands given. With update
// their golden files are written instead of compared.
func Run(t *testing.T, least int, update bool, commands Commands) {
	t.Helper()
	sessions, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(sessions) < least {
		t.Errorf("only %d sessions", len(sessions))
	}
	all := map[string]func(*testscript.TestScript, bool, []string){"exits": exits}
	maps.Copy(all, commands)
	testscript.Run(t, testscript.Params{
		Dir: dir, Cmds: all, RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: update,
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
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
