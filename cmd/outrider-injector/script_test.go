package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/outrider-mesh/outrider/internal/testkit/session"
)

var update = flag.Bool("update", false, "rewrite the golden files in the sessions")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"outrider-injector": main})
}

// TestScripts runs the sessions in testdata/script, each a command line user's
// point of view.
func TestScripts(t *testing.T) {
	const least = 2
	session.Run(t, least, *update, nil)
}
