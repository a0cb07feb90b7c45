// Command kubectl-outrider is the kubectl plugin: with it on the PATH, people write
// kubectl outrider. It puts sidecars into manifests without a cluster.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(program().Main(context.Background())) }
