package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/lossy/wire"
	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// The addresses are of a network for documentation and tests (RFC 5737).
const (
	nearAddr = "192.0.2.1"
	farAddr  = "192.0.2.2"
)

// congestionControl is TCP's; a namespace begins with that of the system.
const congestionControl = "net.ipv4.tcp_congestion_control"

const (
	// startTimeout is how long the sidecars may take until a request passes over
	// both ways.
	startTimeout = 20 * time.Second
	// retry is the pause between two attempts.
	retry = 50 * time.Millisecond
)

// mesh is what is measured, running. The outbound sidecar and the generator are in the
// namespace of this process, the inbound one and the applications in another.
type mesh struct {
	dir               string
	wire              *wire.Wire
	apps              *apps
	outbound, inbound *child.Child
}

// startMesh starts everything; on error nothing is left running.
func startMesh(ctx context.Context, o options) (_ *mesh, err error) {
	m := &mesh{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close(ctx))
		}
	}()
	if m.dir, err = os.MkdirTemp("", "outrider-lossy-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	near, err := wire.Here(ctx, nearAddr)
	if err != nil {
		return nil, err
	}
	far, err := wire.There(ctx, farAddr)
	if err != nil {
		return nil, err
	}
	m.wire = wire.Join(ctx, near, far, o.seed)
	if o.congestion != "" {
		if err := errors.Join(near.Sysctl(congestionControl, o.congestion), far.Sysctl(congestionControl, o.congestion)); err != nil {
			return nil, fmt.Errorf("congestion control %q (a namespace may have those of net.ipv4.tcp_allowed_congestion_control): %w", o.congestion, err)
		}
	}
	if err := m.startPrograms(ctx, near, far, o.outrider); err != nil {
		return nil, err
	}
	return m, m.ready(ctx)
}

func (m *mesh) startPrograms(ctx context.Context, near, far *wire.Side, outrider string) error {
	if err := (&files{dir: m.dir, far: farAddr}).write(); err != nil {
		return err
	}
	webListener, err := far.Listen(ctx, appAt(webPort))
	if err != nil {
		return err
	}
	grpcListener, err := far.Listen(ctx, appAt(grpcPort))
	if err != nil {
		return errors.Join(err, webListener.Close())
	}
	m.apps = startApps(webListener, grpcListener)
	start := func(name, config string) (*child.Child, error) {
		return child.Start(name, exec.CommandContext(context.WithoutCancel(ctx), outrider, "run", "--config", filepath.Join(m.dir, config)))
	}
	far.In(func() { m.inbound, err = start("the inbound sidecar", inboundConfig) })
	if err == nil {
		near.In(func() { m.outbound, err = start("the outbound sidecar", outboundConfig) })
	}
	return err
}

// ready waits until a request has passed over both ways.
func (m *mesh) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		err := m.alive()
		if err != nil {
			return err
		}
		for _, way := range []string{overTCP, overQUIC} {
			var status int
			if status, _, err = hop.Ask(ctx, listenAt(web, way), hop.Request{Method: http.MethodGet, Target: "/0"}); err == nil && status != http.StatusOK {
				err = fmt.Errorf("over %s: status %d", way, status)
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for a request to pass: %w: %s%s", err, m.outbound.Output(), m.inbound.Output())
		}
	}
}

// alive is why a sidecar no longer runs.
func (m *mesh) alive() error { return errors.Join(m.inbound.Ended(), m.outbound.Ended()) }

// watched are the two sidecars.
func (m *mesh) watched() []watch.Group {
	return []watch.Group{{Name: "outbound", PIDs: []int{m.outbound.PID()}}, {Name: "inbound", PIDs: []int{m.inbound.PID()}}}
}

// checkWays tells whether each way was what it is called: the access log says of every
// request how its hop was made.
func (m *mesh) checkWays() error {
	f, err := os.Open(filepath.Join(m.dir, outboundLog))
	if err != nil {
		return fmt.Errorf("read the access log: %w", err)
	}
	defer f.Close()
	calls := map[bool]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if !strings.Contains(line, `"status":200`) {
			continue // what failed is counted by who called
		}
		quic := strings.Contains(line, `"quic":true`)
		if quic != strings.Contains(line, "-"+overQUIC+`"`) {
			return fmt.Errorf("a call went the wrong way: %s", line)
		}
		calls[quic]++
	}
	if calls[true] == 0 || calls[false] == 0 {
		return fmt.Errorf("the access log has %d calls over QUIC and %d over TCP", calls[true], calls[false])
	}
	return lines.Err()
}

// close ends everything, callers before those they call.
func (m *mesh) close(ctx context.Context) error {
	for _, c := range []*child.Child{m.outbound, m.inbound} {
		if c != nil {
			c.Close()
		}
	}
	var err error
	if m.apps != nil {
		err = m.apps.close(ctx)
	}
	if m.wire != nil {
		err = errors.Join(err, m.wire.Close())
	}
	if m.dir != "" {
		err = errors.Join(err, os.RemoveAll(m.dir))
	}
	return err
}
