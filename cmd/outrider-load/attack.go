package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/loadtest/attack"
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// Statuses of "outrider-load attack" other than success. They are part of its
// interface: a build must tell a WAF that is too weak from a run that cannot tell,
// and both from a mistake.
const (
	attackViolated  exitStatus = 1
	attackUndecided exitStatus = 2
	attackBroken    exitStatus = 3
)

// attackCommand is "outrider-load attack".
func attackCommand(ctx context.Context, args []string, env environment) (err error) {
	fs := flag.NewFlagSet("outrider-load attack", flag.ContinueOnError)
	var f attackFlags
	f.register(fs, env.Getenv)
	paths, err := attackArguments(fs, args, env)
	if err != nil {
		return err
	}
	if err := f.complete(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
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
	return attackStatus(report)
}

// attackArguments reads flags, which may stand before and behind paths. The error
// is one that was reported.
func attackArguments(fs *flag.FlagSet, args []string, env environment) (paths []string, err error) {
	fs.SetOutput(env.Stderr)
	for {
		switch err := fs.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, exitStatus(0)
		case err != nil:
			return nil, attackBroken
		}
		if fs.NArg() == 0 {
			break
		}
		paths, args = append(paths, fs.Arg(0)), fs.Args()[1:]
	}
	if len(paths) == 0 {
		fmt.Fprintln(env.Stderr, "outrider-load attack: name directories or files of samples")
		return nil, attackBroken
	}
	return paths, nil
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

func attackStatus(r *attack.Report) error {
	switch r.Verdict {
	case budget.Exceeded:
		return attackViolated
	case budget.Undecided:
		return attackUndecided
	case budget.Holds:
	}
	return nil
}
