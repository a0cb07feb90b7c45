package devca

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
)

// maxSocketPath is the longest path of a Unix socket on Linux, in bytes
// (sun_path in unix(7), less its terminating zero).
const maxSocketPath = 107

// An Endpoint is one socket on which the CA serves the Workload API to one
// workload.
type Endpoint struct {
	ca     *CA
	path   string
	server *grpc.Server
	id     spiffeid.ID   // guarded by ca.mu, so that no change of it is missed
	done   chan struct{} // closed when nothing of the endpoint runs any more
}

// Serve serves the Workload API at socketPath to the workload id, until ctx ends
// or the endpoint is closed; then it may be served again. Missing directories
// are made, for the owner only, and so is the socket. A zero id serves nobody
// yet: clients are told that no identity was issued to them, until
// [Endpoint.Assign].
func (ca *CA) Serve(ctx context.Context, socketPath string, id spiffeid.ID) (*Endpoint, error) {
	if err := ca.servable(id); err != nil {
		return nil, err
	}
	e := &Endpoint{ca: ca, path: socketPath, id: id, done: make(chan struct{})}
	listener, err := listen(socketPath)
	if err != nil {
		return nil, fmt.Errorf("serve the workload API at %q: %w", socketPath, err)
	}
	e.server = grpc.NewServer(
		grpc.StreamInterceptor(requireHeaderStream),
		grpc.UnaryInterceptor(requireHeaderUnary),
		grpc.WaitForHandlers(true), // so that Close leaves nothing running
	)
	workload.RegisterSpiffeWorkloadAPIServer(e.server, &service{endpoint: e})
	if err := ca.enlist(e); err != nil {
		return nil, errors.Join(err, listener.Close(), os.Remove(socketPath))
	}
	go e.run(ctx, listener)
	ca.log.Info("serving the workload API", "socket", socketPath, "id", id.String())
	return e, nil
}

// run serves until the server is stopped, by Close or by ctx.
func (e *Endpoint) run(ctx context.Context, listener net.Listener) {
	defer close(e.done)
	defer e.ca.discharge(e)
	unhook := context.AfterFunc(ctx, e.server.Stop)
	defer unhook()
	if err := e.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		e.ca.log.Error("serve the workload API", "socket", e.path, "err", err)
	}
	e.server.Stop() // waits for what still runs
	if err := os.Remove(e.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		e.ca.log.Error("remove the workload API's socket", "socket", e.path, "err", err)
	}
}

// Addr is the endpoint as SPIFFE_ENDPOINT_SOCKET wants it.
func (e *Endpoint) Addr() string { return "unix://" + e.path }

// Assign changes whom the endpoint serves, at once for open streams too. The
// zero id takes the identity away.
func (e *Endpoint) Assign(id spiffeid.ID) error {
	if err := e.ca.servable(id); err != nil {
		return err
	}
	e.ca.mu.Lock()
	defer e.ca.mu.Unlock()
	e.id = id
	e.ca.wake()
	return nil
}

// servable accepts the workloads of the CA's domain, and nobody.
func (ca *CA) servable(id spiffeid.ID) error {
	if !id.IsZero() && (!id.MemberOf(ca.domain) || id.Path() == "") {
		return fmt.Errorf("serve the workload API: %q is no workload of the trust domain %q", id, ca.domain)
	}
	return nil
}

// Close stops serving, ends open streams, removes the socket, and waits. It may
// be called more than once.
func (e *Endpoint) Close() error {
	e.server.Stop()
	<-e.done
	return nil
}

func (ca *CA) enlist(e *Endpoint) error {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.closed {
		return errors.New("serve the workload API: the CA is closed")
	}
	ca.endpoints[e] = struct{}{}
	return nil
}

func (ca *CA) discharge(e *Endpoint) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	delete(ca.endpoints, e)
}

// listen makes the socket in a directory of its own and moves it into place
// when only the owner may open it. That leaves no moment in which others could,
// and replaces the socket of a process that has died.
func listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private) //nolint:errcheck // An empty directory left behind harms nobody.
	birth := filepath.Join(private, "s")
	if longest := max(len(birth), len(path)); longest > maxSocketPath {
		return nil, fmt.Errorf("the path needs %d bytes, a socket's may have %d", longest, maxSocketPath)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: birth, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // it would remove birth, which will have moved
	if err := errors.Join(os.Chmod(birth, 0o600), os.Rename(birth, path)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
