package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// The load of the fifth part: more bodies at a time than a sidecar has any use for.
const (
	heldConnections = 200
	heldSize        = 64 << 10
	heldWarmup      = time.Second
	heldTimeout     = 30 * time.Second // of a request: most of it is waiting
)

// holders are who takes part: without inspection, with its defaults, and with all of
// the body inspected.
func holders(e proxies.Entry) bool {
	return slices.Contains([]string{"outrider", "outrider+waf-mesh", "outrider+waf-64k"}, e.Name)
}

// prepareMemory finds the programs of the fifth part.
func (b *benchmark) prepareMemory(ctx context.Context) (err error) {
	b.report.Held = &report.Held{
		Absent: map[string]string{}, Connections: heldConnections, Bytes: heldSize, Seconds: b.options.block.Seconds(),
	}
	fits := func(e proxies.Entry) bool { return holders(e) && b.options.wants(e.Name, true) }
	for i := range b.catalogue {
		b.catalogue[i].Default = b.catalogue[i].Default || fits(b.catalogue[i])
	}
	b.holding, err = b.locate(ctx, fits, b.report.Held.Absent)
	return err
}

// measureMemory is the fifth part: each program by itself, before the next one begins.
func (b *benchmark) measureMemory(ctx context.Context) error {
	for _, c := range b.holding {
		err := b.withSession(ctx, []candidate{c}, func(ctx context.Context, s *session) error {
			holder, err := b.hold(ctx, s, c)
			b.report.Held.Holders = append(b.report.Held.Holders, holder)
			b.report.Held.Peers = append(b.report.Held.Peers, s.describe()...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hold measures one program, of which the inbound side holds the bodies.
func (b *benchmark) hold(ctx context.Context, s *session, c candidate) (report.Holder, error) {
	pids, h := s.hops[c.Name].Inbound, report.Holder{Peer: c.Name}
	var err error
	if h.Start, err = watch.ReadPeak(pids); err != nil {
		return h, err
	}
	if h.Idle, err = watch.ReadMemory(pids); err != nil {
		return h, err
	}
	for _, kind := range heldBodies() {
		if err := watch.ResetPeak(pids); err != nil {
			return h, err
		}
		result, err := b.flood(ctx, s, c, kind.benign)
		if err != nil {
			return h, err
		}
		peak, err := watch.ReadPeak(pids)
		if err != nil {
			return h, err
		}
		h.Loads = append(h.Loads, report.HeldLoad{
			Name: kind.name, Peak: peak, Answered: result.Succeeded(), Refused: result.Failed(), FirstRefusal: result.First,
		})
	}
	h.After, err = watch.ReadMemory(pids)
	return h, err
}

// flood sends a request on every connection, again and again.
func (b *benchmark) flood(ctx context.Context, s *session, c candidate, r hop.Request) (*load.Result, error) {
	to, err := target.New(target.Options{
		URL: "http://" + s.hops[c.Name].Addr + r.Target, Method: r.Method, Host: hop.Host,
		Header: r.Header, Body: r.Body, Status: http.StatusOK, Timeout: heldTimeout,
	})
	if err != nil {
		return nil, err
	}
	measured, err := compare.Run(ctx, compare.Plan{
		Targets: []compare.Subject{{Name: c.Name, Target: to, Between: s.alive}},
		Callers: heldConnections, Rounds: 1, Warmup: heldWarmup, Block: b.options.block, Seed: b.options.seed,
	})
	if err != nil {
		return nil, fmt.Errorf("measure %w", err)
	}
	return measured[0].Rounds[0], nil
}

// heldBodies are a body of which every value is of a few letters or digits, and the
// same with a sentence that rule sets have to look into.
func heldBodies() []inspectable {
	path := fmt.Sprintf("/%d", answerSize)
	return []inspectable{
		{name: "plain JSON", benign: post(path, "application/json", manyOrders(heldSize, ""))},
		{name: "JSON with prose", benign: post(path, "application/json", manyOrders(heldSize, "Please select one from the list; it's O'Brien's <b>order</b> & 2 = 1 + 1"))},
	}
}

// manyOrders is an array of objects of that many bytes, with up to 60 values of text
// each, as rule sets bound their number; the notes are as given.
func manyOrders(size int, note string) []byte {
	var b strings.Builder
	b.WriteString("[")
	for i := 0; b.Len() < size-2048; i++ {
		fmt.Fprintf(&b, `{"id":%d,"note":%q,"text":%q},`, i, note, strings.Repeat("lorem ipsum ", 80))
	}
	b.WriteString(`{"id":0}]`)
	return append([]byte(b.String()), strings.Repeat(" ", size-b.Len())...)
}
