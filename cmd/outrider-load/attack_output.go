package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/attack"
)

// write prints the table and writes the files, all that can be written.
func (f *attackFlags) write(r *attack.Report, env cli.Environment) error {
	table := env.Stdout
	var errs []error
	if f.json == "-" {
		table = env.Stderr
		errs = append(errs, r.WriteJSON(env.Stdout))
	}
	errs = append(errs, r.WriteText(table))
	for _, file := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.json, r.WriteJSON},
		{f.missed, func(w io.Writer) error { return attack.WriteList(w, r.Missed) }},
		{f.falsehood, func(w io.Writer) error { return attack.WriteList(w, r.Alarms) }},
	} {
		if file.path != "" && file.path != "-" {
			errs = append(errs, writeFile(file.path, file.write))
		}
	}
	return errors.Join(errs...)
}

// attackProgress is one line that is rewritten on a terminal; elsewhere it is
// silent.
type attackProgress struct {
	w        io.Writer
	terminal bool
}

func newAttackProgress(w io.Writer) *attackProgress {
	return &attackProgress{w: w, terminal: cli.Terminal(w)}
}

func (p *attackProgress) show(s attack.Progress) {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%d of %d samples sent, %d not answered", s.Done, s.All, s.Failed)
	}
}

// end leaves the line to whatever is written next.
func (p *attackProgress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
