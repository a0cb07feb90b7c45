package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
)

// A mesh is everything that runs: the CA, the workloads, and their files.
type mesh struct {
	dir      string
	ca       *devca.CA
	patience time.Duration
	// client is whoever calls from outside of the shop.
	client *http.Client

	storefront, checkout, payments, intruder *workload
	// workloads are those that run, the first started first.
	workloads []*workload
}

type meshOptions struct {
	policies map[string]string
	// warn receives the CA's warning.
	warn     io.Writer
	patience time.Duration
}

// identityOf is the SPIFFE ID of a workload, in the form Kubernetes meshes use.
func identityOf(name string) spiffeid.ID {
	return spiffeid.RequireFromPath(trustDomain(), "/ns/shop/sa/"+name)
}

func trustDomain() spiffeid.TrustDomain { return spiffeid.RequireTrustDomainFromString("example.org") }

// startMesh starts everything or leaves nothing behind.
func startMesh(ctx context.Context, p *page, opts meshOptions) (*mesh, error) {
	dir, err := os.MkdirTemp("", "outrider-demo-")
	if err != nil {
		return nil, err
	}
	m := &mesh{dir: dir, patience: opts.patience, client: newClient()}
	if err := m.startAll(ctx, p, opts); err != nil {
		return nil, errors.Join(err, m.stop(ctx))
	}
	return m, nil
}

func (m *mesh) startAll(ctx context.Context, p *page, opts meshOptions) (err error) {
	if m.ca, err = devca.New(devca.Options{TrustDomain: trustDomain(), Warn: opts.warn}); err != nil {
		return err
	}
	if err := os.Mkdir(m.policies(), 0o700); err != nil {
		return err
	}
	for name, text := range opts.policies {
		if err := writePolicy(m.policies(), name, text); err != nil {
			return err
		}
	}
	// From the last to the first: each needs the address of the one behind it.
	for _, w := range []struct {
		into **workload
		opts func() workloadOptions
	}{
		{&m.payments, func() workloadOptions { return workloadOptions{name: "payments"} }},
		{&m.checkout, func() workloadOptions {
			return workloadOptions{name: "checkout", calls: m.payments, next: "POST /v1/charges"}
		}},
		{&m.storefront, func() workloadOptions {
			return workloadOptions{name: "storefront", calls: m.checkout, next: "POST /orders"}
		}},
		{&m.intruder, func() workloadOptions {
			return workloadOptions{name: "intruder", calls: m.payments, outsider: true}
		}},
	} {
		if *w.into, err = m.start(ctx, w.opts()); err != nil {
			return err
		}
		p.started(*w.into)
	}
	return nil
}

// started tells of a workload that is up.
func (p *page) started(w *workload) {
	p.line("   %s %-12s %s", p.paint(green, yes), w.name, w.id)
}

func (m *mesh) policies() string { return filepath.Join(m.dir, "policies") }

// shop is where customers call the storefront.
func (m *mesh) shop() string { return "http://" + m.storefront.app.addr + "/buy" }

// stop ends everything, callers before those they call, waits for it, and
// removes the files.
func (m *mesh) stop(ctx context.Context) error {
	var errs []error
	for _, w := range slices.Backward(m.workloads) {
		if err := w.end(); err != nil {
			errs = append(errs, fmt.Errorf("stop the sidecar of %s: %w", w.name, err))
		}
		if w.app != nil {
			w.app.stop(ctx)
		}
	}
	m.workloads = nil
	m.client.CloseIdleConnections()
	if m.ca != nil {
		errs = append(errs, m.ca.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}
