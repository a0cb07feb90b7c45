package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/pki"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// appTimeout is how long the app may take to say where it is.
const appTimeout = 10 * time.Second

// A session is everything that runs during a comparison.
type session struct {
	options options
	self    string // our own executable
	dir     string // everything written goes below
	calls   bool   // gRPC is what is sent

	app     *child.Child
	appAddr string
	found   []candidate
	hops    map[string]*hop.Hop // by program
}

// withSession starts the app and one hop per program, lets use have them, and
// ends everything again.
func (b *benchmark) withSession(ctx context.Context, found []candidate, use func(context.Context, *session) error) (err error) {
	dir, err := os.MkdirTemp("", "outrider-peers-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &session{options: b.options, self: b.self, dir: dir, found: found, calls: len(found) > 0 && slices.Equal(found, b.calling), hops: map[string]*hop.Hop{}}
	defer s.close()
	if err := s.start(ctx, b.progress); err != nil {
		return err
	}
	return use(ctx, s)
}

// start brings everything up. What was started before an error is for close to
// end.
func (s *session) start(ctx context.Context, p *progress) error {
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
	for _, c := range s.found {
		p.note("starting %s", c.Name)
		h, err := hop.Start(ctx, hop.Options{
			Name: c.Name, Program: c.Program, Install: c.install,
			App: s.appAddr, Dir: filepath.Join(s.dir, "hops"), Workers: s.options.workers, HTTP2: s.calls,
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
	said, says, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe from the app: %w", err)
	}
	defer said.Close()
	defer says.Close()
	command := appCommand
	if s.calls {
		command = callsCommand
	}
	cmd := exec.Command(s.self, command)
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

// alive is why something no longer runs; nil while everything does.
func (s *session) alive() error {
	errs := []error{s.app.Ended()}
	for _, c := range s.found {
		errs = append(errs, s.hops[c.Name].Alive())
	}
	return errors.Join(errs...)
}

// idle are the processes of all programs but one.
func (s *session) idle(name string) []int {
	var pids []int
	for _, c := range s.found {
		if h := s.hops[c.Name]; c.Name != name {
			pids = slices.Concat(pids, h.Outbound, h.Inbound)
		}
	}
	return pids
}

// checkAnswers compares an answer of each length byte for byte. Those under load
// are checked for status and length, which costs the generator less.
func (s *session) checkAnswers(ctx context.Context, sizes []int) error {
	for _, c := range s.found {
		for _, size := range sizes {
			status, body, err := hop.Ask(ctx, s.hops[c.Name].Addr, plain(size))
			if err != nil {
				return fmt.Errorf("ask %s for %d bytes: %w", c.Name, size, err)
			}
			if status != http.StatusOK || !bytes.Equal(body, app.Body(size)) {
				return fmt.Errorf("ask %s for %d bytes: status %d, and %d bytes that differ from what the app sent", c.Name, size, status, len(body))
			}
		}
	}
	return nil
}

func (s *session) describe() []report.Peer {
	peers := make([]report.Peer, len(s.found))
	for i, c := range s.found {
		h := s.hops[c.Name]
		peers[i] = report.Peer{Name: c.Name, Version: c.install.Version, Processes: len(h.Outbound) + len(h.Inbound), Note: c.note()}
	}
	return peers
}

// idleMemory looks at every program before any load.
func (s *session) idleMemory() ([]report.Memory, error) {
	all := make([]report.Memory, len(s.found))
	for i, c := range s.found {
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
	if err := s.alive(); err != nil {
		return err
	}
	for i := range all {
		h, err := s.hops[all[i].Peer], error(nil)
		if all[i].OutboundAfter, err = watch.ReadMemory(h.Outbound); err != nil {
			return err
		}
		if all[i].InboundAfter, err = watch.ReadMemory(h.Inbound); err != nil {
			return err
		}
	}
	return nil
}
