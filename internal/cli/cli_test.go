package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tool is a program with one command, which says what it was given.
func tool(got *[]string) Program {
	p := Program{Name: "tool", About: "A tool.", Usage: 2, Broken: 1}
	p.Commands = []Command{
		{Name: "do", Args: "[--fast] WHAT", Help: "do it", Run: func(_ context.Context, args []string, env Environment) error {
			fs := p.Flags("do")
			fast := fs.Bool("fast", false, "quickly")
			rest, err := p.Parse(fs, args, 2, env)
			if err != nil {
				return err
			}
			*got = rest
			if *fast {
				*got = append(*got, "fast")
			}
			return nil
		}},
		p.Version(),
	}
	return p
}

func TestCommandLines(t *testing.T) {
	cases := []struct {
		line           string
		status         error
		got            string
		stdout, stderr string // what must stand in it
	}{
		{"do", nil, "", "", ""},
		{"do a", nil, "a", "", ""},
		{"do --fast a", nil, "a fast", "", ""},
		{"do a --fast", nil, "a fast", "", ""},
		{"do a --fast b", nil, "a b fast", "", ""},
		{"do a b c", ExitStatus(2), "", "", `tool do: unexpected argument "c"`},
		{"do --slow", ExitStatus(2), "", "", "not defined: -slow"},
		{"do --help", ExitStatus(0), "", "", "-fast"},
		{"", ExitStatus(2), "", "A tool.", ""},
		{"help", nil, "", "tool do [--fast] WHAT  do it", ""},
		{"--help", nil, "", "tool version", ""},
		{"undo", ExitStatus(2), "", "", `tool: there is no command "undo"`},
		{"version", nil, "", "tool ", ""},
		{"version now", ExitStatus(2), "", "", `unexpected argument "now"`},
	}
	if len(cases) < 14 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var got []string
		var stdout, stderr bytes.Buffer
		err := tool(&got).Run(t.Context(), strings.Fields(c.line), Environment{Stdout: &stdout, Stderr: &stderr})
		if !errors.Is(err, c.status) || strings.Join(got, " ") != c.got ||
			!strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) ||
			c.stdout == "" && stdout.Len() > 0 || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: %v, got %q, stdout %q, stderr %q", c.line, err, got, stdout.String(), stderr.String())
		}
	}
}

func TestHelpIsAligned(t *testing.T) {
	var out bytes.Buffer
	p := Program{Name: "t", About: "About.", Commands: []Command{{Name: "a", Args: "LONG ARGUMENTS", Help: "one"}, {Name: "b", Help: "two"}}}
	if err := p.Run(t.Context(), []string{"help"}, Environment{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	want := "About.\n\nUsage:\n\n  t a LONG ARGUMENTS  one\n  t b                 two\n\nEvery command explains its flags with --help.\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if Terminal(file) || Terminal(new(bytes.Buffer)) || !Terminal(null) {
		t.Error("a file or a buffer is taken for a terminal, or a device is not")
	}
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{{"", "", true}, {"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		env := Environment{Getenv: func(name string) string { return map[string]string{"NO_COLOR": c.noColor, "TERM": c.term}[name] }}
		if got := env.Colorful(null); got != c.want {
			t.Errorf("NO_COLOR=%q TERM=%q: %t", c.noColor, c.term, got)
		}
		if env.Colorful(file) {
			t.Errorf("NO_COLOR=%q TERM=%q: colours in a file", c.noColor, c.term)
		}
	}
}
