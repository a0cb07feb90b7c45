// Command kubectl-outrider is the kubectl plugin: with it on the PATH, people write
// kubectl outrider. It tells what is wrong in a mesh and why a call was refused, shows
// what sidecars decide, works with policies, and puts sidecars into manifests. It
// changes nothing in a cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/outrider-mesh/outrider/internal/cli"
)

func main() { os.Exit(start()) }

// start is the program in the process that it is. An interrupt ends what it does.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := cli.Environment{Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return program().Status(run(ctx, filepath.Base(os.Args[0]), os.Args[1:], env), env)
}
