// Package self is a mesh on this machine that can be measured without anything
// being set up: an application, sidecars before it, and a certificate authority
// for development, all on loopback and each a process of its own, so that what
// one of them costs can be told from the rest.
//
// The processes are this same executable: see [Part].
package self

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// Options say how the mesh is started.
type Options struct {
	// Executable is what the parts are started from; required.
	Executable string
	// Inspected adds a sidecar that inspects every request.
	Inspected bool
	// Warn receives the warning of the certificate authority; required.
	Warn interface{ Write([]byte) (int, error) }
}

// A Mesh is running. Close it.
type Mesh struct {
	// Direct leads to the application, Sidecars through two sidecars with
	// inspection off, Inspected through two of which the second inspects; each a
	// host:port for plain HTTP. Inspected is empty if it was not asked for.
	Direct, Sidecars, Inspected string
	// DirectTCP and SidecarsTCP are the same for an echo.
	DirectTCP, SidecarsTCP string

	dir                string
	ca                 *devca.CA
	children           []*child.Child
	out, in, inspected *child.Child
}

// WatchSidecars are the processes behind Sidecars, WatchInspected those behind
// Inspected.
func (m *Mesh) WatchSidecars() []watch.Group { return m.groups(m.in) }

// WatchInspected are the processes behind Inspected.
func (m *Mesh) WatchInspected() []watch.Group { return m.groups(m.inspected) }

func (m *Mesh) groups(in *child.Child) []watch.Group {
	return []watch.Group{{Name: "outbound", PIDs: []int{m.out.PID()}}, {Name: "inbound", PIDs: []int{in.PID()}}}
}

// Alive is an error if a part has ended.
func (m *Mesh) Alive() error {
	for _, c := range m.children {
		if err := c.Ended(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything, callers before those they call, and removes the files.
func (m *Mesh) Close() error {
	for _, c := range slices.Backward(m.children) {
		c.Close()
	}
	var errs []error
	if m.ca != nil {
		errs = append(errs, m.ca.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}

// trustDomain of everything here.
func trustDomain() spiffeid.TrustDomain { return spiffeid.RequireTrustDomainFromString("example.org") }

func identityOf(name string) spiffeid.ID {
	return spiffeid.RequireFromPath(trustDomain(), "/ns/load/sa/"+name)
}

// Start starts the mesh and returns when requests pass. On error nothing is left.
func Start(ctx context.Context, o Options) (*Mesh, error) {
	dir, err := os.MkdirTemp("", "outrider-load-")
	if err != nil {
		return nil, fmt.Errorf("start the mesh: make a directory for its files: %w", err)
	}
	m := &Mesh{dir: dir}
	if err := m.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the mesh: %w", err), m.Close())
	}
	return m, nil
}

func (m *Mesh) start(ctx context.Context, o Options) (err error) {
	if m.ca, err = devca.New(devca.Options{TrustDomain: trustDomain(), Warn: o.Warn}); err != nil {
		return err
	}
	ports, err := freeAddresses(ctx, 8)
	if err != nil {
		return err
	}
	m.Direct, m.DirectTCP, m.Sidecars, m.SidecarsTCP = ports[0], ports[1], ports[2], ports[3]
	if err := m.run(o, "app", nil, m.Direct, m.DirectTCP); err != nil {
		return err
	}
	d := documents{dir: m.dir, app: m.Direct, echo: m.DirectTCP, out: m.Sidecars, outTCP: m.SidecarsTCP, in: ports[4], inTCP: ports[5]}
	if o.Inspected {
		m.Inspected = ports[6]
		d.outInspected, d.inInspected = m.Inspected, ports[7]
		if err := m.sidecar(ctx, o, &m.inspected, "inspected", d.inspected()); err != nil {
			return err
		}
	}
	if err := m.sidecar(ctx, o, &m.in, "payments", d.inbound()); err != nil {
		return err
	}
	if err := m.sidecar(ctx, o, &m.out, "checkout", d.outbound()); err != nil {
		return err
	}
	for _, address := range []string{m.Direct, m.Sidecars, m.Inspected} {
		if address == "" {
			continue
		}
		if err := m.await(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// sidecar writes the files of one and starts it.
func (m *Mesh) sidecar(ctx context.Context, o Options, into **child.Child, name string, files map[string]string) error {
	if _, err := m.ca.Serve(ctx, filepath.Join(m.dir, name, socketFile), identityOf(name)); err != nil {
		return err
	}
	for file, text := range files {
		path := filepath.Join(m.dir, name, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return m.run(o, sidecarPart, into, filepath.Join(m.dir, name, sidecarFile))
}

// run starts a part.
func (m *Mesh) run(o Options, part string, into **child.Child, args ...string) error {
	cmd := exec.Command(o.Executable, append([]string{partCommand, part}, args...)...) //nolint:gosec,noctx // it is ourselves; child ends it
	cmd.Env = append(os.Environ(), "TMPDIR="+m.dir)
	c, err := child.Start(part, cmd)
	if err != nil {
		return err
	}
	m.children = append(m.children, c)
	if into != nil {
		*into = c
	}
	return nil
}

// How long the mesh may take until a request passes, and the pause between two
// looks.
const (
	startTimeout = 30 * time.Second
	retry        = 20 * time.Millisecond
)

// await returns when a request through address is answered with 200.
func (m *Mesh) await(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(retry)
	defer tick.Stop()
	var last error
	for {
		if last = probe(ctx, address); last == nil {
			return nil
		}
		if err := m.Alive(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no request passes %s: %w", address, errors.Join(context.Cause(ctx), last))
		}
	}
}

// probe makes one request.
func probe(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // Ctrl-C need not wait for the deadline
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("GET /0 HTTP/1.1\r\nHost: payments\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 12)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200") {
		return fmt.Errorf("it answers %q", answer[:n])
	}
	return nil
}

// freeAddresses are ports of loopback that nobody listens on at the moment.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	var addresses []string
	var lc net.ListenConfig
	for range n {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// tidyAbove is how long an access log may grow, in bytes: a long run must not fill
// the disk.
const tidyAbove = 16 << 20

// Tidy empties access logs that have grown; the sidecars append, so they go on at
// the beginning. It is called between two stretches of load.
func (m *Mesh) Tidy() error {
	for _, name := range []string{"checkout", "payments", "inspected"} {
		path := filepath.Join(m.dir, name, accessLog)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < tidyAbove {
			continue
		}
		if err == nil {
			err = os.Truncate(path, 0)
		}
		if err != nil {
			return fmt.Errorf("empty an access log: %w", err)
		}
	}
	return m.Alive()
}
