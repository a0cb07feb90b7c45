package main

import (
	"context"
	"errors"
	"os"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/report"
)

// diff is "outrider-load diff".
func diff(_ context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("diff")
	gate := fs.Bool("fail-on-worse", false, "exit with 1 if anything became worse by more than noise")
	rest, err := program().Parse(fs, args, 2, env)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return errors.New("diff: name two reports, the older one first")
	}
	var docs [2]*report.Document
	for i, path := range rest {
		if docs[i], err = readReport(path); err != nil {
			return err
		}
	}
	_ = gate
	return nil
}

func readReport(path string) (*report.Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return report.ReadJSON(f)
}
