package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/report"
)

// diff is "outrider-load diff".
func diff(_ context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("diff")
	gate := fs.Bool("fail-on-worse", false, "exit with 1 if anything became worse by more than noise, and with 2 if that cannot be told")
	path := fs.String("json", "", "`file` to write the difference to, for programs; - is standard output, and the table then goes to standard error")
	rest, err := program().Parse(fs, args, 2, env)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return errors.New("diff: name two reports, the older one first")
	}
	out := outputFlags{json: *path}
	errs := []error{out.check()}
	var docs [2]*report.Document
	for i, path := range rest {
		var err error
		docs[i], err = readReport(path)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d := report.Diff(docs[0], docs[1])
	if err := writeDifference(d, *path, env); err != nil {
		return err
	}
	if *gate {
		return exitOf(d.Outcome)
	}
	return nil
}

func readReport(path string) (*report.Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := report.ReadJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func writeDifference(d *report.Difference, path string, env cli.Environment) error {
	switch path {
	case "":
		return d.WriteTable(env.Stdout)
	case "-":
		return errors.Join(d.WriteJSON(env.Stdout), d.WriteTable(env.Stderr))
	}
	return errors.Join(d.WriteTable(env.Stdout), writeFile(path, d.WriteJSON))
}

// exitOf is the status for the outcome of a difference that is gated on.
func exitOf(o report.Outcome) error {
	switch o {
	case report.Worse:
		return statusExceeded
	case report.Undecided:
		return statusUndecided
	case report.Improved, report.Same:
	}
	return nil
}
