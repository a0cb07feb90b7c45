package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/cli"
)

// flags are those of a command, with its help.
func flags(command, help string) *flag.FlagSet {
	fs := program().Flags(command)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), help)
		fs.PrintDefaults()
	}
	return fs
}

// wrong reports what is wrong with a command line.
func wrong(fs *flag.FlagSet, env cli.Environment, problem string) error {
	fmt.Fprintf(env.Stderr, "%s: %s\n", fs.Name(), problem)
	return usage
}

// clusterFlags say which cluster and which of its namespaces are meant, as kubectl's
// own flags do.
type clusterFlags struct {
	options           kube.Options
	namespace, system string
	all               bool
}

func (c *clusterFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&c.options.Kubeconfig, "kubeconfig", "", "`file` that says how to reach the cluster; what kubectl takes, if empty")
	fs.StringVar(&c.options.Context, "context", "", "`name` of a context in it; the current one, if empty")
	fs.StringVar(&c.namespace, "n", "", "`namespace`; that of the context, if empty")
	fs.StringVar(&c.namespace, "namespace", "", "the same as -n")
	fs.BoolVar(&c.all, "A", false, "all namespaces")
	fs.StringVar(&c.system, "system-namespace", mutate.ControlPlaneNamespace, "`namespace` of the control plane")
}

// open reaches the cluster. namespace is the one that is meant; empty: all.
func (c *clusterFlags) open() (client *kube.Client, namespace string, err error) {
	if client, err = kube.New(c.options); err != nil {
		return nil, "", err
	}
	switch {
	case c.all:
		return client, "", nil
	case c.namespace != "":
		return client, c.namespace, nil
	}
	return client, client.Namespace, nil
}

// output is the flag -o.
type output struct{ format string }

func (o *output) add(fs *flag.FlagSet) {
	fs.StringVar(&o.format, "o", "text", "`format` of the output: text or json")
}

func (o *output) json() bool { return o.format == "json" }

// problem says what is wrong with it; empty if nothing is.
func (o *output) problem() string {
	if o.format != "text" && o.format != "json" {
		return "-o " + o.format + " is not text or json"
	}
	return ""
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// printable is foreign text of which nothing ends a line or is obeyed by a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// prepared is a command's flags, parsed, and the cluster that they name.
type prepared struct {
	client    *kube.Client
	namespace string
	rest      []string
}

// prepare parses a command line of at most so many other arguments and reaches the
// cluster.
func prepare(_ context.Context, fs *flag.FlagSet, c *clusterFlags, o *output, most int, args []string, env cli.Environment) (*prepared, error) {
	rest, err := program().Parse(fs, args, most, env)
	if err != nil {
		return nil, err
	}
	if problem := o.problem(); problem != "" {
		return nil, wrong(fs, env, problem)
	}
	client, namespace, err := c.open()
	if err != nil {
		return nil, err
	}
	return &prepared{client, namespace, rest}, nil
}
