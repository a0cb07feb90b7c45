package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
	"github.com/outrider-mesh/outrider/internal/policytool"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// statusDenied is the status of "outrider explain" for a call that is denied.
const statusDenied cli.ExitStatus = 3

const explainHelp = `Usage: outrider explain --policies DIR --workload NAMESPACE/NAME[,LABEL=VALUE...]
                        --from SPIFFE-ID|plaintext --to [LISTENER/]PORT [flags]
       outrider explain DECISION-ID [--admin ADDRESS] [-o json]

The first form reads policy documents and says what would become of a call, which
rules speak for and against it, and what the smallest change is that would allow it.
Without --path the call is a connection of bytes that are not HTTP. With --config the
workload, its listeners and its policies are those of a sidecar's file.

The second form asks a running sidecar about something that it refused. A sidecar
keeps its newest refusals; what is older, and what was allowed, is in its access log.

Exit status: 0 the call is allowed; 1 it failed; 2 the command line is wrong; 3 the
call is, or was, denied.

`

// explainFlags are the command line of "outrider explain".
type explainFlags struct {
	set                                     *flag.FlagSet
	config, policies, workload, trustDomain string
	call                                    policycmd.Call
	admin, output                           string
}

func newExplainFlags() *explainFlags {
	f := &explainFlags{set: program().Flags("explain")}
	fs := f.set
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), explainHelp)
		fs.PrintDefaults()
	}
	fs.StringVar(&f.config, "config", "", "the sidecar's `file`, in place of --workload")
	fs.StringVar(&f.policies, "policies", "", "`directory` of policy documents; the one that --config names, if empty")
	fs.StringVar(&f.workload, "workload", "", "who is called: `NAMESPACE/NAME`, and labels behind: shop/payments,app=payments")
	fs.StringVar(&f.trustDomain, "trust-domain", "", "the workload's trust `domain`, where policies speak of namespaces or service accounts and no MeshConfig has it")
	f.call.Flags(fs, "the workload's `port`; with --config also LISTENER or LISTENER/PORT")
	fs.StringVar(&f.admin, "admin", "127.0.0.1:15000", "the sidecar's administration `address`")
	fs.StringVar(&f.output, "o", "text", "`format` of the output: text or json")
	return f
}

// explain is "outrider explain".
func explain(ctx context.Context, args []string, env cli.Environment) error {
	f := newExplainFlags()
	ids, err := program().Parse(f.set, args, 1, env)
	if err != nil {
		return err
	}
	if f.output != "text" && f.output != "json" {
		return wrongUsage("explain", env, "-o "+f.output+" is not text or json")
	}
	if len(ids) == 1 {
		err := policytool.ExplainDecision(ctx, policytool.DecisionRequest{ID: ids[0], Admin: f.admin, JSON: f.output == "json"}, env.Stdout)
		return verdict("explain", env, false, err)
	}
	request, err := f.request()
	if broken, ok := errors.AsType[badFile](err); ok {
		return verdict("explain", env, false, broken.error)
	}
	if err != nil {
		return wrongUsage("explain", env, err.Error())
	}
	allowed, err := policytool.Explain(ctx, request, env.Stdout)
	return verdict("explain", env, allowed, err)
}

// verdict reports an error, and says with which status the process ends.
func verdict(command string, env cli.Environment, allowed bool, err error) error {
	switch {
	case err != nil:
		fmt.Fprintf(env.Stderr, "outrider %s: %v\n", command, err)
		return failed
	case !allowed:
		return statusDenied
	}
	return nil
}

// wrongUsage reports what is wrong with a command line.
func wrongUsage(command string, env cli.Environment, problem string) error {
	fmt.Fprintf(env.Stderr, "outrider %s: %s\n", command, problem)
	return program().Usage
}

// request is what the flags ask.
func (f *explainFlags) request() (policytool.ExplainRequest, error) {
	r := policytool.ExplainRequest{
		Policies: f.policies, JSON: f.output == "json",
		Call: f.call.Asked(),
	}
	var err error
	switch {
	case f.config != "" && f.workload != "":
		return r, errors.New("--config and --workload both say who is called")
	case f.config != "":
		err = f.fromConfig(&r)
	case f.workload != "":
		r.Workload, err = policytool.ParseWorkload(f.workload)
		if err == nil {
			r.Call.Listener, r.Call.To, err = target(f.call.To)
		}
	default:
		return r, errors.New("say who is called with --workload or --config, or name a decision")
	}
	r.Workload.TrustDomain = f.trustDomain
	if err == nil && r.Policies == "" {
		err = errors.New("name the directory of policies with --policies")
	}
	return r, err
}

// badFile is an error of what a command line names, and not of the command line.
type badFile struct{ error }

// target reads [LISTENER/]PORT; a name alone has port 0.
func target(text string) (listener string, port int, err error) {
	listener, number, both := strings.Cut(text, "/")
	if !both {
		if n, err := strconv.Atoi(text); err == nil {
			return "", n, nil
		}
		return text, 0, nil
	}
	port, err = strconv.Atoi(number)
	if err != nil {
		return "", 0, fmt.Errorf("--to %q: write PORT or LISTENER/PORT", text)
	}
	return listener, port, nil
}

// fromConfig takes from a sidecar's file who is called, on which port, and whether
// plaintext is taken there.
func (f *explainFlags) fromConfig(r *policytool.ExplainRequest) error {
	c, _, err := config.LoadSidecar(f.config)
	if err != nil {
		return badFile{err}
	}
	m := c.Metadata
	r.Workload = authz.Workload{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels}
	if p := c.Spec.Policies; r.Policies == "" && p != nil {
		r.Policies = p.Directory
	}
	listener, port, err := target(f.call.To)
	if err != nil {
		return err
	}
	r.Call.To = port
	return atListener(r, c.Spec.Inbound, listener)
}

// atListener finds the listener that is meant: by its name, or the one that
// forwards to the port.
func atListener(r *policytool.ExplainRequest, inbound []config.Inbound, name string) error {
	var names []string
	for _, in := range inbound {
		names = append(names, in.Name)
		_, forward, _ := strings.Cut(in.Forward[strings.LastIndexByte(in.Forward, ']')+1:], ":")
		port, _ := strconv.Atoi(forward) // 0 where it captures
		switch {
		case name == "" && port != r.Call.To, name != "" && name != in.Name:
			continue
		case r.Call.To == 0:
			r.Call.To = port
		}
		r.MTLS, r.Call.Listener = in.MTLS, in.Name
		return nil
	}
	if name == "" {
		return nil // a captured port, or one that nobody listens for
	}
	return fmt.Errorf("--to: there is no inbound listener %q; there are %s", name, strings.Join(names, ", "))
}
