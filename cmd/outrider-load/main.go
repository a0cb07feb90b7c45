// Command outrider-load measures the latency budget: it sends load, compares
// what a mesh adds with going direct, gates a build on it, and replays attacks.
package main

import (
	"context"
	"os"

	"github.com/outrider-mesh/outrider/loadtest/self"
)

func main() {
	ctx := context.Background()
	if args := os.Args[1:]; self.IsPart(args) {
		os.Exit(part(ctx, args, os.Stderr))
	}
	os.Exit(program().Main(ctx))
}
