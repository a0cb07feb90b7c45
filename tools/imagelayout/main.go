// Command imagelayout carries out a Dockerfile without a container engine, so
// that its steps are tested wherever the Go toolchain is.
//
// It copies the build context the way .dockerignore says, runs the build
// stage's commands in it, puts what the final stage copies into a directory,
// and then checks what an image must be: one static file, a numeric non-root
// user, an entry point that exists, a size within the budget. It knows only the
// instructions which our Dockerfile uses and fails on any other, rather than
// ignore it. It can't prove that the base image exists.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	var o options
	flag.StringVar(&o.context, "context", ".", "directory of the Dockerfile")
	flag.StringVar(&o.rootfs, "rootfs", "dist/rootfs", "where to put the image's files; replaced")
	flag.StringVar(&o.target, "target", "outrider", "stage to build")
	flag.StringVar(&o.user, "user", "21337:21337", "the UID and GID that the image must run as")
	flag.Int64Var(&o.maxBytes, "max-bytes", 22<<20, "upper bound of all files together")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "imagelayout:", err)
		os.Exit(1)
	}
}

type options struct {
	context, rootfs, target, user string
	maxBytes                      int64
}

func run(ctx context.Context, o options) error {
	text, err := os.ReadFile(filepath.Join(o.context, "Dockerfile"))
	if err != nil {
		return err
	}
	stages, err := parse(string(text))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "imagelayout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	img, err := build(ctx, o, work, stages)
	if err != nil {
		return err
	}
	return img.check(o, os.Stdout)
}
