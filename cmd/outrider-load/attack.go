package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/attack"
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// maxPaths is how many directories and files of samples may be named.
const maxPaths = 1000

// attackWAF is "outrider-load attack".
func attackWAF(ctx context.Context, args []string, env cli.Environment) (err error) {
	fs := program().Flags("attack")
	var f attackFlags
	f.register(fs, env.Getenv)
	paths, err := program().Parse(fs, args, maxPaths, env)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return errors.New("attack: name directories or files of samples")
	}
	if err := f.complete(); err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	closer, err := f.open(ctx, paths)
	defer func() { err = errors.Join(err, closer()) }()
	if err != nil {
		return err
	}
	progress := newAttackProgress(env.Stderr)
	f.options.Progress = progress.show
	report, err := attack.Run(ctx, f.options)
	progress.end()
	if err != nil {
		return err
	}
	report.Tool, report.Command = "outrider-load "+buildinfo.Version().String(), append([]string{"attack"}, args...)
	if err := f.write(report, env); err != nil {
		return err
	}
	return exit(report.Verdict)
}

// open reads the samples, and opens what a run needs. closer is never nil.
func (f *attackFlags) open(ctx context.Context, paths []string) (closer func() error, err error) {
	o := &f.options
	closer = func() error { return nil }
	o.Paths = paths
	if o.Corpus, err = corpus.Read(ctx, paths...); err != nil {
		return closer, err
	}
	if f.only != "" {
		if err := f.choose(); err != nil {
			return closer, err
		}
	}
	if f.accessLog != "" {
		log, err := os.Open(f.accessLog)
		if err != nil {
			return closer, fmt.Errorf("open the access log: %w", err)
		}
		closer = log.Close
		if _, err := log.Seek(0, io.SeekEnd); err != nil { // what is there is not ours
			return closer, fmt.Errorf("find the end of the access log: %w", err)
		}
		o.AccessLog = log
	}
	before := closer
	tls, done, err := f.identity.open(ctx)
	if err != nil {
		return closer, err
	}
	o.Endpoint.TLS = tls
	return func() error { return errors.Join(done(), before()) }, nil
}

// choose leaves the samples of a list.
func (f *attackFlags) choose() error {
	list, err := os.Open(f.only)
	if err != nil {
		return err
	}
	defer list.Close()
	ids, err := attack.ReadList(list)
	if err != nil {
		return err
	}
	f.options.Corpus, err = attack.Select(f.options.Corpus, ids)
	return err
}
