// Package cli is what the command lines of our programs have in common:
// subcommands, their help, and what the exit status says. A program is a
// function of its arguments and streams, so that a test can run it.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

// Environment is everything a command touches of its process.
type Environment struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// ExitStatus is an error that has been reported already.
type ExitStatus int

// Error implements error.
func (s ExitStatus) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// A Program is a set of subcommands.
type Program struct {
	Name string
	// About is one sentence for the help.
	About    string
	Commands []Command
	// Usage is the exit status for a command line that is wrong, Broken the one
	// for an error that no command has an own status for.
	Usage, Broken ExitStatus
}

// A Command is one subcommand.
type Command struct {
	Name, Args, Help string
	Run              func(ctx context.Context, args []string, env Environment) error
}

// Main runs the program in the process it is, and returns the exit status.
func (p Program) Main(ctx context.Context) int {
	env := Environment{Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return p.Status(p.Run(ctx, os.Args[1:], env), env)
}

// Status is the exit status for what Run returned. An error that was not reported yet
// is.
func (p Program) Status(err error, env Environment) int {
	var status ExitStatus
	if err != nil && !errors.As(err, &status) {
		fmt.Fprintln(env.Stderr, p.Name+":", err)
		status = p.Broken
	}
	return int(status)
}

// Run executes one command line. An error other than an ExitStatus is still to be
// reported.
func (p Program) Run(ctx context.Context, args []string, env Environment) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		p.help(env.Stdout)
		if len(args) == 0 {
			return p.Usage
		}
		return nil
	}
	for _, c := range p.Commands {
		if c.Name == args[0] {
			return c.Run(ctx, args[1:], env)
		}
	}
	fmt.Fprintf(env.Stderr, "%s: there is no command %q\n\n", p.Name, args[0])
	p.help(env.Stderr)
	return p.Usage
}

func (p Program) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage:\n\n", p.About)
	widest := 0
	for _, c := range p.Commands {
		widest = max(widest, len(c.Name+" "+c.Args))
	}
	for _, c := range p.Commands {
		fmt.Fprintf(w, "  %s %-*s  %s\n", p.Name, widest, c.Name+" "+c.Args, c.Help)
	}
	fmt.Fprint(w, "\nEvery command explains its flags with --help.\n")
}

// Flags is an empty set of flags for a command.
func (p Program) Flags(command string) *flag.FlagSet {
	return flag.NewFlagSet(p.Name+" "+command, flag.ContinueOnError)
}

// Parse reads the flags of a command, which may stand before and behind its other
// arguments, and returns those, at most most. The error is one that was reported.
func (p Program) Parse(fs *flag.FlagSet, args []string, most int, env Environment) (rest []string, _ error) {
	fs.SetOutput(env.Stderr)
	for {
		err := fs.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return nil, ExitStatus(0)
		case err != nil:
			return nil, p.Usage
		case fs.NArg() == 0:
			return rest, nil
		case len(rest) == most:
			fmt.Fprintf(env.Stderr, "%s: unexpected argument %q\n", fs.Name(), fs.Arg(0))
			return nil, p.Usage
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// Version is the command that prints the version.
func (p Program) Version() Command {
	return Command{Name: "version", Help: "print the version", Run: func(_ context.Context, args []string, env Environment) error {
		if _, err := p.Parse(p.Flags("version"), args, 0, env); err != nil {
			return err
		}
		fmt.Fprintln(env.Stdout, p.Name, buildinfo.Version())
		return nil
	}}
}

// Colorful tells whether output to w should use colours: somebody is likely to
// read it as it comes, the terminal can show them, and NO_COLOR is not set
// (https://no-color.org).
func (e Environment) Colorful(w io.Writer) bool {
	return e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb" && Terminal(w)
}

// Terminal tells whether w is one.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
