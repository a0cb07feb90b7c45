package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// words is a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

// Set implements flag.Value.
func (w *words) Set(text string) error {
	*w = append(*w, text)
	return nil
}

// loadFlags are the flags that say what is sent and how long.
type loadFlags struct {
	rate        string
	poisson     bool
	connections int
	streams     int
	rounds      int
	warmup      time.Duration
	block       time.Duration
	seed        uint64
	budget      string
	watch       words
}

func (l *loadFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&l.rate, "rate", "1000", "requests per `second`: 1000, 100..2000@30s or 100@10s,500@10s; \"max\" for a closed loop")
	fs.BoolVar(&l.poisson, "poisson", false, "let requests arrive at random, as from many independent callers, instead of evenly")
	fs.IntVar(&l.connections, "connections", budget.DefaultConnections, "how many requests may be under way")
	fs.IntVar(&l.streams, "streams", 1, "how many of them share a connection, over HTTP/2, gRPC and HTTP/3")
	fs.IntVar(&l.rounds, "rounds", budget.DefaultRounds, "how often each target has its turn")
	fs.DurationVar(&l.warmup, "warmup", budget.DefaultWarmup, "unmeasured beginning of each turn")
	fs.DurationVar(&l.block, "block", budget.DefaultBlock, "measured rest of each turn")
	fs.Uint64Var(&l.seed, "seed", 0, "seed of order and random arrivals (default: random)")
	fs.StringVar(&l.budget, "budget", "", "what it may cost, as p99=+500us,p50=+150us,p99.9=20ms,errors=0.1%,cpu=60us,rss=20MiB")
	fs.Var(&l.watch, "watch", "processes whose cost is read, as `NAME`=pid:NUMBER or NAME=cgroup:PATH; may be repeated")
}

// plan is what the flags ask for, without targets.
func (l *loadFlags) plan() (p compare.Plan, b budget.Budget, err error) {
	p = compare.Plan{
		Poisson: l.poisson, Callers: l.connections, Rounds: l.rounds, Warmup: l.warmup, Block: l.block, Seed: l.seed,
	}
	var errs []error
	if l.rate != "max" {
		var err error
		p.Rate, err = pace.Parse(l.rate)
		errs = append(errs, err)
	}
	if l.budget != "" {
		b, err = budget.Parse(l.budget)
		errs = append(errs, err)
	}
	for _, n := range []struct {
		flag string
		n    int
	}{{"connections", l.connections}, {"streams", l.streams}, {"rounds", l.rounds}} {
		if n.n < 1 {
			errs = append(errs, fmt.Errorf("--%s is %d, want at least 1", n.flag, n.n))
		}
	}
	if l.block <= 0 || l.warmup < 0 {
		errs = append(errs, errors.New("--block must be above zero and --warmup not below"))
	}
	if p.Seed == 0 {
		p.Seed = rand.Uint64() //nolint:gosec // chance, not secrecy
	}
	return p, b, errors.Join(errs...)
}

func (l *loadFlags) groups() ([]watch.Group, error) {
	var groups []watch.Group
	var errs []error
	for _, text := range l.watch {
		g, err := watch.ParseGroup(text)
		groups, errs = append(groups, g), append(errs, err)
	}
	return groups, errors.Join(errs...)
}

// requestFlags are the flags that say what a request is, and who makes it.
type requestFlags struct {
	protocol, method, host, body, bodyFile string
	headers                                words
	status                                 int
	timeout                                time.Duration
	identityFlags
}

func (r *requestFlags) register(fs *flag.FlagSet, getenv func(string) string) {
	fs.StringVar(&r.protocol, "protocol", string(target.HTTP1), fmt.Sprintf("one of %v", target.Protocols()))
	fs.StringVar(&r.method, "method", "", "method (default: GET, or POST with a body)")
	fs.StringVar(&r.host, "host", "", "Host, if not the URL's")
	fs.Var(&r.headers, "header", "header field, as \"`Name`: value\"; may be repeated")
	fs.StringVar(&r.body, "body", "", "text of each request's body")
	fs.StringVar(&r.bodyFile, "body-file", "", "`file` that holds it")
	fs.IntVar(&r.status, "status", 0, "the one status that counts as success (default: any 2xx)")
	fs.DurationVar(&r.timeout, "timeout", 10*time.Second, "how long a request may take")
	r.identityFlags.register(fs, getenv)
}

// maxBody bounds --body-file, in bytes.
const maxBody = 16 << 20

// options are those of a target, without its URL. done is to be called in the end
// if there is no error.
func (r *requestFlags) options(ctx context.Context, streams int) (o target.Options, done func() error, err error) {
	o = target.Options{
		Protocol: target.Protocol(r.protocol), Method: r.method, Host: r.host, Body: []byte(r.body),
		Status: r.status, Timeout: r.timeout, Streams: streams,
	}
	for _, line := range r.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return o, nil, fmt.Errorf("--header %q: write \"Name: value\"", line)
		}
		o.Header = append(o.Header, target.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	if r.bodyFile != "" {
		if o.Body, err = readFile(r.bodyFile); err != nil {
			return o, nil, err
		}
	}
	o.TLS, done, err = r.open(ctx)
	return o, done, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = fmt.Errorf("%s has more than %d bytes", path, maxBody)
	}
	return text, err
}
