package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A workload is a sidecar with a directory of its own, and the application that
// it stands before, if any.
type workload struct {
	name string
	id   spiffeid.ID
	dir  string
	app  *app // nil for the intruder

	sidecar *proxy.Sidecar
	stop    context.CancelFunc
	done    chan struct{} // closed when the sidecar has ended and err is set
	err     error
	log     *os.File
}

// The names of the files of a workload.
const (
	configFile  = "sidecar.yaml"
	accessFile  = "access.log"
	processFile = "process.log"
	socketFile  = "api.sock"
)

// The listeners of a sidecar, by the names in its file.
const (
	inboundListener  = "app"
	outboundListener = "next"
)

// workloadOptions say what a workload is.
type workloadOptions struct {
	name string
	// calls is the workload behind it, and as "METHOD /path" what its
	// application asks for there; nil and empty for none.
	calls *workload
	next  string
	// outsider has no application.
	outsider bool
}

// start makes a workload's files and runs it. What it started before an error is
// in m, for m.stop.
func (m *mesh) start(ctx context.Context, opts workloadOptions) (_ *workload, err error) {
	w := &workload{name: opts.name, dir: filepath.Join(m.dir, opts.name), id: identityOf(opts.name), done: make(chan struct{})}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		return nil, err
	}
	api, err := m.ca.Serve(ctx, w.path(socketFile), w.id)
	if err != nil {
		return nil, err
	}
	if !opts.outsider {
		if w.app, err = newApp(ctx, w.name); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(w.path(configFile), []byte(w.document(opts, api)), 0o600); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	if err := w.run(ctx, m.patience); err != nil {
		return nil, errors.Join(fmt.Errorf("the sidecar of %s: %w", w.name, err), w.abandon())
	}
	if w.app != nil {
		if next := opts.calls; next != nil {
			method, path, _ := strings.Cut(opts.next, " ")
			w.app.method, w.app.next, w.app.host = method, "http://"+w.outbound()+path, next.name
		}
		w.app.serve()
	}
	m.workloads = append(m.workloads, w)
	return w, nil
}

// abandon closes the port of an application that does not serve yet.
func (w *workload) abandon() error {
	if w.app == nil {
		return nil
	}
	return w.app.listener.Close()
}

// run starts the sidecar as the command does and waits until it is ready.
func (w *workload) run(ctx context.Context, patience time.Duration) error {
	c, _, err := config.LoadSidecar(w.path(configFile))
	if err != nil {
		return err
	}
	if w.log, err = os.Create(w.path(processFile)); err != nil {
		return err
	}
	w.sidecar, err = proxy.New(ctx, proxy.Options{
		Config: c, ConfigPath: w.path(configFile), Stdout: w.log, Stderr: w.log,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		return errors.Join(err, w.log.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // the mesh says when it ends
	w.stop = stop
	go func() {
		defer close(w.done)
		w.err = w.sidecar.Run(running, nil)
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-w.sidecar.Ready():
		return nil
	case <-w.done:
		return errors.Join(errors.New("it ended before it was ready"), w.end())
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), w.end())
	case <-late.C:
		return errors.Join(fmt.Errorf("it was not ready within %s", patience), w.end())
	}
}

// end drains the sidecar and waits.
func (w *workload) end() error {
	w.stop()
	<-w.done
	return errors.Join(w.err, w.log.Close())
}

func (w *workload) path(file string) string { return filepath.Join(w.dir, file) }

// inbound is where the mesh reaches the workload, outbound where its application
// reaches the service behind it.
func (w *workload) inbound() string { return w.sidecar.Addresses()[inboundListener] }

func (w *workload) outbound() string { return w.sidecar.Addresses()[outboundListener] }

// document is the sidecar's file. It names nothing that a file for production
// would not, but for ports that the system chooses.
func (w *workload) document(opts workloadOptions, api *devca.Endpoint) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: %[1]s, namespace: shop, labels: {app: %[1]s}}
spec:
  identity: {workloadAPI: {socket: %[2]q}}
  policies: {directory: ../policies}
`, w.name, api.Addr())
	if w.app != nil {
		fmt.Fprintf(&b, `  inbound:
  - {name: %s, listen: "127.0.0.1:0", forward: %q}
`, inboundListener, w.app.addr)
	}
	if next := opts.calls; next != nil {
		fmt.Fprintf(&b, `  outbound:
  - {name: %s, listen: "127.0.0.1:0", destination: %s}
  destinations:
  - {name: %[2]s, addresses: [%[3]q], spiffeIDs: [%[4]q]}
`, outboundListener, next.name, next.inbound(), next.id.String())
	}
	fmt.Fprintf(&b, `  accessLog: {output: %q}
  admin: {listen: "127.0.0.1:0"}
  metrics: {listen: "127.0.0.1:0"}
  health: {listen: "off"}
  drain: {timeout: 2s}
  # Few idle connections are kept, so that new ones are opened all the time and
  # certificates are used while they are still warm.
  # A machine that is busy with something else makes inspection wait, not refuse.
  limits: {upstreamIdlePerDestination: 1, inspectionWait: 10s, inspectionTimeout: 10s}
`, w.path(accessFile))
	return b.String()
}

// A dump is what the demo reads of a sidecar's /config_dump.
type dump struct {
	Policies struct {
		// Problem says why the newest documents are not in force.
		Problem string
		// Documents are those in force.
		Documents struct{ Generation string }
	}
}

// dump asks the sidecar's admin port, as a person would with curl.
func (w *workload) dump(ctx context.Context, client *http.Client) (*dump, error) {
	got, err := call(ctx, client, request{method: http.MethodGet, url: "http://" + w.sidecar.AdminAddress() + "/config_dump"})
	if err != nil {
		return nil, err
	}
	d := new(dump)
	if err := json.Unmarshal(got.body, d); err != nil {
		return nil, fmt.Errorf("the config dump of %s: %w", w.name, err)
	}
	return d, nil
}
