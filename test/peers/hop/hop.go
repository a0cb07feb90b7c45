// Package hop starts a program as the two proxies of a mesh hop and knows the
// processes it consists of.
package hop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/pki"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
)

const (
	// startTimeout is how long both proxies may take until a request passes.
	startTimeout = 20 * time.Second
	// retry is the pause between two looks at a program that is starting.
	retry = 50 * time.Millisecond
	// probeTimeout is how long the request of one such look may take.
	probeTimeout = time.Second
)

// Options say what to start.
type Options struct {
	// Name is the program's, for messages and the directory.
	Name    string
	Program proxies.Program
	Install proxies.Install
	// App is the host:port the inbound side forwards to; it must answer
	// GET /0 with a 200.
	App string
	// Dir is where the hop keeps its files.
	Dir string
	// Workers and HTTP2 are as in [proxies.Side].
	Workers int
	HTTP2   bool
	// Client and Server are the identities of the two sides.
	Client, Server pki.Files
}

// A Hop is two running proxies. Close it.
type Hop struct {
	// Addr is where the outbound side takes plaintext, InboundAddr where the
	// inbound side takes mTLS.
	Addr, InboundAddr string
	// Outbound and Inbound are the process ids of each side.
	Outbound, Inbound []int
	// Logs are the access logs of both sides.
	Logs []string

	children []*child.Child
}

// Start starts both proxies and returns once a request has passed through
// them. On error nothing is left running.
func Start(ctx context.Context, o Options) (*Hop, error) {
	h, err := launch(o)
	if err == nil {
		err = h.ready(ctx, o.HTTP2)
	}
	if err == nil {
		err = h.findProcesses()
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	return h, nil
}

// launch starts both proxies and does not wait for them. The hop is to be
// closed also on error.
func launch(o Options) (*Hop, error) {
	addrs, err := freeAddrs(2)
	if err != nil {
		return &Hop{}, err
	}
	h := &Hop{Addr: addrs[1], InboundAddr: addrs[0]}
	for _, side := range []proxies.Side{
		{Listen: h.InboundAddr, Upstream: o.App, Identity: o.Server, Peer: o.Client},
		{Outbound: true, Listen: h.Addr, Upstream: h.InboundAddr, Identity: o.Client, Peer: o.Server},
	} {
		side.Dir = filepath.Join(o.Dir, o.Name, side.Name())
		side.Workers, side.HTTP2 = o.Workers, o.HTTP2
		c, err := startSide(o, side)
		if err != nil {
			return h, err
		}
		h.children = append(h.children, c)
		h.Logs = append(h.Logs, side.AccessLog())
	}
	return h, nil
}

func startSide(o Options, side proxies.Side) (*child.Child, error) {
	if err := os.MkdirAll(side.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	command, err := o.Program.Command(o.Install, side)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir = side.Dir
	cmd.Env = append(os.Environ(), command.Env...)
	return child.Start(o.Name+" "+side.Name(), cmd)
}

// findProcesses looks for the workers each side has started by now.
func (h *Hop) findProcesses() error {
	var err error
	if h.Inbound, err = watch.Tree(h.children[0].PID()); err != nil {
		return err
	}
	h.Outbound, err = watch.Tree(h.children[1].PID())
	return err
}

// Alive returns why the hop no longer runs; nil while it does.
func (h *Hop) Alive() error {
	var errs []error
	for _, c := range h.children {
		errs = append(errs, c.Ended())
	}
	return errors.Join(errs...)
}

// Close ends both proxies and waits for them, the caller's side first.
func (h *Hop) Close() {
	for _, v := range slices.Backward(h.children) {
		v.Close()
	}
}

// ready waits until a request passes, or a call.
func (h *Hop) ready(ctx context.Context, calls bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(retry)
	defer tick.Stop()
	var last error
	for {
		if err := h.Alive(); err != nil {
			return err
		}
		err := probe(ctx, h.Addr, calls)
		if err == nil {
			return nil
		}
		// What our own deadline interrupts explains nothing.
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			var said strings.Builder
			for _, c := range h.children {
				said.WriteString(c.Output())
			}
			return fmt.Errorf("wait for a request to pass: %w (last: %w) %s", ctx.Err(), last, said.String())
		}
	}
}

// probe makes one request or call and wants the app's answer.
func probe(ctx context.Context, addr string, calls bool) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if calls {
		return Call(ctx, addr, 0)
	}
	status, _, err := Ask(ctx, addr, Request{Method: http.MethodGet, Target: "/0", Header: []target.Field{
		// What inspection wants of an honest client.
		{Name: "User-Agent", Value: "outrider-bench"}, {Name: "Accept", Value: "*/*"},
	}})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d %s", status, http.StatusText(status))
	}
	return err
}

// freeAddrs finds loopback addresses nobody listens on. Somebody else may take
// one before we do; the start then fails and says so.
func freeAddrs(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// All are held until the end, so that they differ.
		defer ln.Close()
		addrs[i] = ln.Addr().String()
	}
	return addrs, nil
}
