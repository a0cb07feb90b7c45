package main

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kubetest"
	"github.com/outrider-mesh/outrider/internal/testkit/session"
)

var update = flag.Bool("update", false, "rewrite the golden files in the sessions")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl-outrider": main, "kubectl_complete-outrider": main})
}

// TestScripts runs the sessions in testdata/script, each a command line user's
// point of view.
func TestScripts(t *testing.T) {
	const least = 9
	var c clusters
	session.Run(t, least, *update, session.Commands{"cluster": c.start, "forbid": c.forbid})
}

// clusters are those of the sessions.
type clusters struct{ running sync.Map }

// start is "cluster NAME": it starts the cluster of testdata/clusters and makes it
// kubectl's.
func (c *clusters) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cluster name")
	}
	s, err := kubetest.Start(filepath.Join("testdata", "clusters", args[0]))
	ts.Check(err)
	ts.Defer(s.Close)
	path := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(path, s.Kubeconfig(), 0o600))
	ts.Setenv("KUBECONFIG", path)
	c.running.Store(ts, s)
}

// forbid is "forbid PATH": the session's cluster refuses what is at that path from now
// on.
func (c *clusters) forbid(ts *testscript.TestScript, neg bool, args []string) {
	s, ok := c.running.Load(ts)
	if neg || !ok || len(args) != 1 {
		ts.Fatalf("usage: forbid path, behind cluster")
	}
	s.(*kubetest.Server).Refuse(args[0], http.StatusForbidden)
}
