package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

// Streams are those of the program.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// options are the command line.
type options struct {
	sidecars       []int
	rounds         int
	json, markdown string
}

const usage = `Usage: go run ./test/pushbench [flags]

Measures how long a change takes to reach thousands of sidecars, and what it costs.
test/pushbench/README.md says what is measured and how to read it.

`

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{sidecars: []int{500, 1500, 5000}, rounds: 5}
	fs := flag.NewFlagSet("pushbench", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	fs.Func("sidecars", "`numbers` of sidecars, growing, separated by commas (default 500,1500,5000)", func(text string) error {
		o.sidecars = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 || n > pods || len(o.sidecars) > 0 && n <= o.sidecars[len(o.sidecars)-1] {
				return fmt.Errorf("%q is no larger number, up to %d", word, pods)
			}
			o.sidecars = append(o.sidecars, n)
		}
		return nil
	})
	fs.IntVar(&o.rounds, "rounds", o.rounds, "how often each change is made; the median counts")
	fs.StringVar(&o.json, "json", "", "`file` to write everything to")
	fs.StringVar(&o.markdown, "markdown", "", "`file` whose part between the two markers is replaced by the figures")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 || o.rounds < 1 {
		return o, fmt.Errorf("arguments %q and %d rounds are not understood", fs.Args(), o.rounds)
	}
	return o, nil
}

// Run is the program.
func Run(ctx context.Context, args []string, streams Streams) error {
	if len(args) == 1 && args[0] == planeCommand {
		return runPlane(ctx, streams)
	}
	o, err := parseOptions(args, streams.Out)
	if err != nil {
		return err
	}
	if o.markdown != "" {
		if err := part().Check(o.markdown); err != nil {
			return err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := measure(ctx, o, exec.CommandContext(ctx, program, planeCommand), streams.Err)
	if err != nil {
		return err
	}
	return r.publish(o, streams.Out)
}

// measure runs the control plane as a process and the sidecars in this one.
func measure(ctx context.Context, o options, cmd *exec.Cmd, progress io.Writer) (*report, error) {
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString(domain), Warn: io.Discard})
	if err != nil {
		return nil, err
	}
	c, err := startPlane(ca, cmd)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	f, err := newFleet(c.address, ca)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer f.close()
	defer cancel()
	r := &report{Rounds: o.rounds}
	empty, err := c.tell(order{Op: opState})
	if err != nil {
		return nil, err
	}
	r.Empty = empty.State
	var connected int
	for _, n := range o.sidecars {
		fmt.Fprintf(progress, "connecting %d sidecars\n", n)
		if err := f.grow(ctx, connected, n); err != nil {
			return nil, err
		}
		connected = n
		a, err := c.tell(order{Op: opWait, Expect: n})
		if err != nil {
			return nil, err
		}
		s := size{Sidecars: n, State: a.State, CPU: a.CPU}
		for _, ch := range changes(n) {
			fmt.Fprintf(progress, "%d sidecars: %s\n", n, ch.name)
			m, err := c.repeat(ch, o.rounds)
			if err != nil {
				return nil, err
			}
			s.Changes = append(s.Changes, m)
		}
		r.Sizes = append(r.Sizes, s)
	}
	return r, f.err()
}

// A change is something that happens, and to how many sidecars it matters.
type change struct {
	name string
	order
}

// changes are those that are made with so many sidecars.
func changes(n int) []change {
	match := func(key, value string) map[string]any { return map[string]any{key: value} }
	count := func(is func(k int) bool) (all int) {
		for k := range n {
			if is(k) {
				all++
			}
		}
		return all
	}
	ofPolicy := func(name, namespace string, labels map[string]any, is func(k int) bool) change {
		return change{name, order{Op: opPolicy, Namespace: namespace, Name: "measured", Labels: labels, Expect: count(is)}}
	}
	return []change{
		ofPolicy("a policy of one pod", "team-0", match("instance", podName(0)), func(k int) bool { return k == 0 }),
		ofPolicy("a policy of a deployment", "team-1", match("app", accountOf(1)), func(k int) bool { return accountOf(k) == accountOf(1) }),
		ofPolicy("a policy of a namespace", "team-2", nil, func(k int) bool { return namespaceOf(k) == "team-2" }),
		ofPolicy("a policy of the mesh", root, nil, func(int) bool { return true }),
		{"an endpoint of a service", order{Op: opEndpoint, Service: 7, Expect: callers(7, n)}},
	}
}

// A child is the control plane's process.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
	address string
}

func startPlane(ca *devca.CA, cmd *exec.Cmd) (*child, error) {
	svid, err := ca.Issue(spiffeid.RequireFromString(mutate.ControlPlaneID(domain, root)), devca.IssueOptions{})
	if err != nil {
		return nil, err
	}
	var b birth
	if b.SVID, b.Key, err = svid.Marshal(); err != nil {
		return nil, err
	}
	if b.Roots, err = ca.Bundle().Marshal(); err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}
	if err := c.orders.Encode(b); err != nil {
		c.stop()
		return nil, err
	}
	if err := c.answers.Decode(&c.address); err != nil {
		c.stop()
		return nil, fmt.Errorf("the control plane's process does not answer: %w", err)
	}
	return c, nil
}

func (c *child) tell(o order) (a answer, err error) {
	if err := c.orders.Encode(o); err != nil {
		return a, err
	}
	return a, c.answers.Decode(&a)
}

func (c *child) repeat(ch change, rounds int) (measured, error) {
	m := measured{Change: ch.name, Affected: ch.Expect}
	if ch.Op == opPolicy { // the first makes it, and is not one like the others
		if _, err := c.tell(ch.order); err != nil {
			return m, err
		}
	}
	for range rounds {
		a, err := c.tell(ch.order)
		if err != nil {
			return m, fmt.Errorf("%s: %w", ch.name, err)
		}
		m.Rounds = append(m.Rounds, a)
	}
	return m, nil
}

// stop ends the process: it does when it has no more orders to read.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}
