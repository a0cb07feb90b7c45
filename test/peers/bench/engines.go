package bench

import (
	"context"
	"time"

	"github.com/outrider-mesh/outrider/test/peers/engines"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// engineWindow is how long an engine is asked in each round, at most; the slowest take
// a second for one request.
const engineWindow = 200 * time.Millisecond

// measureEngines is the part that needs no other program: inspection by itself, asked
// about the requests of the third part.
func (b *benchmark) measureEngines(ctx context.Context) (err error) {
	var requests []engines.Request
	for _, kind := range inspectables() {
		requests = append(requests, engines.Request{Name: kind.name, Request: kind.sent(), Attack: kind.refused})
	}
	o := engines.Options{
		Rounds: b.options.rounds, Window: min(engineWindow, b.options.block), Seed: b.options.seed,
		Progress: func(name string) { b.progress.note("engines: %s", name) },
	}
	b.report.Engines.Rows, err = engines.Measure(ctx, requests, o)
	return err
}

// prepareEngines says what will be measured: a run with it has its own part of the page.
func (b *benchmark) prepareEngines() {
	b.report.Engines = &report.Engines{
		Names: engines.Names(), Rounds: b.options.rounds, InspectBytes: engines.InspectBytes,
		WindowSeconds: min(engineWindow, b.options.block).Seconds(),
	}
}
