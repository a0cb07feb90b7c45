package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// A trial is one load on several peers, which take turns.
type trial struct {
	report.Load
	request hop.Request
	// refused tells that the answer is a refusal, of whatever length.
	refused bool
	// calls is how many gRPC calls are under way at a time; zero for requests.
	calls         int
	peers         []string // programs, or report.Direct; tables have this order
	rounds        int
	warmup, block time.Duration
	seed          uint64
}

// blocks is how many stretches of load it has, length how long they take.
func (t trial) blocks() int { return t.rounds * len(t.peers) }

func (t trial) length() time.Duration {
	return time.Duration(t.blocks()) * (t.warmup + t.block)
}

// plain is a GET that is answered with so many bytes.
func plain(size int) hop.Request {
	return hop.Request{Method: http.MethodGet, Target: "/" + strconv.Itoa(size), Header: honest()}
}

// honest are the fields that no client leaves out, so that inspection finds
// nothing to remark.
func honest() []target.Field {
	return []target.Field{{Name: "User-Agent", Value: "outrider-bench"}, {Name: "Accept", Value: "*/*"}}
}

// run carries a trial out. Errors of a program are part of its samples; an error
// here ends the run.
func (s *session) run(ctx context.Context, t trial, p *progress) ([]report.Sample, error) {
	plan, order := compare.Plan{
		Callers: max(t.Connections, t.calls), Rounds: t.rounds, Warmup: t.warmup, Block: t.block, Seed: t.seed,
		Progress: func(so compare.Progress) { p.turn(t, so) },
	}, []string(nil)
	if t.Rate > 0 {
		plan.Rate = pace.Constant(t.Rate)
	}
	for _, name := range t.peers {
		subject, err := s.subject(name, t)
		if err != nil {
			return nil, err
		}
		tidy := subject.Between
		subject.Between = func() error {
			order = append(order, name)
			return tidy()
		}
		plan.Targets = append(plan.Targets, subject)
	}
	measured, err := compare.Run(ctx, plan)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("measure %w", err), s.alive())
	}
	samples := inOrder(t, order, measured)
	p.done(t, samples)
	return samples, nil
}

// subject describes one peer to the comparison.
func (s *session) subject(name string, t trial) (compare.Subject, error) {
	addr, groups := s.appAddr, []watch.Group{{Name: appGroup, PIDs: []int{s.app.PID()}}}
	tidy := s.alive
	if name != report.Direct {
		h := s.hops[name]
		addr = h.Addr
		groups = append(groups, watch.Group{Name: outboundGroup, PIDs: h.Outbound}, watch.Group{Name: inboundGroup, PIDs: h.Inbound})
		tidy = func() error { return errors.Join(s.alive(), emptyLogs(h.Logs)) }
	}
	if idle := s.idle(name); len(idle) > 0 {
		groups = append(groups, watch.Group{Name: idleGroup, PIDs: idle})
	}
	to, err := target.New(t.target(addr))
	return compare.Subject{Name: name, Target: to, Watch: groups, Between: tidy}, err
}

// target is what is sent, to that address.
func (t trial) target(addr string) target.Options {
	if t.calls > 0 {
		return hop.CallOptions(addr, t.Size, t.calls/t.Connections)
	}
	o := target.Options{
		URL: "http://" + addr + t.request.Target, Method: t.request.Method, Host: hop.Host,
		Header: t.request.Header, Body: t.request.Body,
		Status: http.StatusForbidden, Persistent: true,
	}
	if length := int64(t.Size); !t.refused {
		o.Status, o.Length = http.StatusOK, &length
	}
	return o
}

// inOrder makes samples of what was measured, in the order in which it was.
func inOrder(t trial, order []string, measured []*compare.Measured) []report.Sample {
	rounds, next := map[string][]*load.Result{}, map[string]int{}
	for _, m := range measured {
		rounds[m.Subject.Name] = m.Rounds
	}
	samples := make([]report.Sample, 0, len(order))
	for _, name := range order {
		round := next[name]
		next[name]++
		samples = append(samples, newSample(t, name, round, rounds[name][round]))
	}
	return samples
}
