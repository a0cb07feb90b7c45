package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/bundle"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/internal/cli"
)

const bugreportHelp = `Usage: kubectl outrider bugreport [-n NAMESPACE] [-f FILE] [flags]

Collects what somebody needs to help with a mesh: findings, versions, pods and services
in outline, policies, and of 20 sidecars metrics, configuration, connections, newest
refusals and logs. It is a tar file compressed with gzip, which you can read before you
send it.

No Secret is read. Environments, commands and volumes of containers stay out, as do
values of headers and queries; keys, tokens and credentials are removed by their form.
Names, addresses, labels, images, paths and policies are in it. Nothing leaves this
machine by itself.

Examples:

  kubectl outrider bugreport -n shop
  kubectl outrider bugreport -n shop -f - | tar tz

Exit status: 0 done; 1 it failed; 2 the command line is wrong.

`

// bugreport is "kubectl outrider bugreport".
func bugreport(ctx context.Context, args []string, env cli.Environment) error {
	fs := flags("bugreport", bugreportHelp)
	var c clusterFlags
	c.add(fs)
	file := fs.String("f", "", "`file` to write, which must not be there yet, or - for standard output; one with the time in its name, if empty")
	p, err := prepare(ctx, fs, &c, &output{"text"}, 0, args, env)
	if err != nil {
		return err
	}
	s, err := survey.Read(ctx, p.client, survey.Options{Namespace: c.namespace, MostAsked: survey.MostAsked, System: c.system})
	if err != nil {
		return err
	}
	if *file == "-" {
		_, err := bundle.Write(ctx, s, p.client, env.Stdout)
		return err
	}
	name := or(*file, "outrider-bugreport-"+s.At.UTC().Format("20060102T150405Z")+".tar.gz")
	files, err := writeNew(name, func(w io.Writer) ([]string, error) { return bundle.Write(ctx, s, p.client, w) })
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s has %s; read it before you send it\n", name, count(len(files), "file"))
	return nil
}

// writeNew writes a file that nobody else can read and that was not there before. Half
// of one is removed.
func writeNew(name string, write func(io.Writer) ([]string, error)) ([]string, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	files, err := write(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	return files, nil
}
