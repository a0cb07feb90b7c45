package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/outrider-mesh/outrider/loadtest/attack"
)

// write prints the table and writes the files, all that can be written.
func (f *attackFlags) write(r *attack.Report, env environment) error {
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
			errs = append(errs, writeAttackFile(file.path, file.write))
		}
	}
	return errors.Join(errs...)
}

// writeAttackFile writes a file as a whole or not at all.
func writeAttackFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".outrider-load-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	const mode = 0o644 // as any other file that is not secret; CreateTemp is stricter
	if err := errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// attackProgress is one line that is rewritten on a terminal; elsewhere it is
// silent.
type attackProgress struct {
	w        io.Writer
	terminal bool
}

func newAttackProgress(w io.Writer) *attackProgress {
	f, ok := w.(*os.File)
	if !ok {
		return &attackProgress{w: w}
	}
	info, err := f.Stat()
	return &attackProgress{w: w, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
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
