package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/pki"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// appTimeout is how long the app may take to say where it is.
const appTimeout = 10 * time.Second

// A session is everything that runs during the comparison.
type session struct {
	options options
	self    string // our own executable
	dir     string // everything written goes below

	app     *child.Child
	appAddr string
	hops    map[string]*hop.Hop // by program
}

// start brings up the app and one hop per program. What was started before an
// error is for close to end.
func (s *session) start(ctx context.Context, found []candidate, p *progress) error {
	if err := s.startApp(ctx); err != nil {
		return err
	}
	authority, err := pki.New(s.dir)
	if err != nil {
		return err
	}
	client, err := authority.Issue("client")
	if err != nil {
		return err
	}
	server, err := authority.Issue("server")
	if err != nil {
		return err
	}
	for _, c := range found {
		p.note("starting %s", c.Name)
		h, err := hop.Start(ctx, hop.Options{
			Name: c.Name, Program: c.Program, Install: c.install,
			App: s.appAddr, Dir: filepath.Join(s.dir, "hops"), Workers: s.options.workers,
			Client: client, Server: server,
		})
		if err != nil {
			return err
		}
		s.hops[c.Name] = h
	}
	return nil
}

// startApp starts the app and learns its address from the first line it says.
func (s *session) startApp(ctx context.Context) error {
	// The smallest is what a starting hop is probed with.
	sizes, err := json.Marshal(append([]int{0}, s.options.sizes.values...))
	if err != nil {
		return fmt.Errorf("describe the app: %w", err)
	}
	said, says, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe from the app: %w", err)
	}
	defer said.Close()
	defer says.Close()
	cmd := exec.Command(s.self, appCommand, string(sizes))
	cmd.Stdout = says
	if s.app, err = child.Start("app", cmd); err != nil {
		return err
	}
	says.Close() // ours; the app keeps its own, so its end is seen as EOF
	stop := context.AfterFunc(ctx, func() { said.Close() })
	defer stop()
	if err := said.SetReadDeadline(time.Now().Add(appTimeout)); err != nil {
		return fmt.Errorf("bound the wait for the app: %w", err)
	}
	const maxLine = 128
	line, err := bufio.NewReader(io.LimitReader(said, maxLine)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait for the app: %w %s", err, s.app.Output())
	}
	s.appAddr = line[:len(line)-1]
	return nil
}

// close ends everything; it is called once, whatever happened.
func (s *session) close() {
	for _, h := range s.hops {
		h.Close()
	}
	if s.app != nil {
		s.app.Close()
	}
}

func (s *session) describe(found []candidate) []report.Peer {
	peers := make([]report.Peer, len(found))
	for i, c := range found {
		h := s.hops[c.Name]
		peers[i] = report.Peer{Name: c.Name, Version: c.install.Version, Processes: len(h.Outbound) + len(h.Inbound)}
	}
	return peers
}

// idleMemory looks at every program before any load.
func (s *session) idleMemory(found []candidate) ([]report.Memory, error) {
	all := make([]report.Memory, len(found))
	for i, c := range found {
		h, err := s.hops[c.Name], error(nil)
		all[i].Peer = c.Name
		if all[i].OutboundIdle, err = watch.ReadMemory(h.Outbound); err != nil {
			return nil, err
		}
		if all[i].InboundIdle, err = watch.ReadMemory(h.Inbound); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// memoryAfter completes what idleMemory began.
func (s *session) memoryAfter(all []report.Memory) error {
	for i := range all {
		h, err := s.hops[all[i].Peer], error(nil)
		if err := h.Alive(); err != nil {
			return err
		}
		if all[i].OutboundAfter, err = watch.ReadMemory(h.Outbound); err != nil {
			return err
		}
		if all[i].InboundAfter, err = watch.ReadMemory(h.Inbound); err != nil {
			return err
		}
	}
	return nil
}
