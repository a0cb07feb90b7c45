package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
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

// The rates without --rate. Inspecting a small request takes most of a millisecond of
// one processor, so the mesh of this machine is not asked for a thousand a second.
const (
	defaultRate     = "1000"
	defaultSelfRate = "500"
)

// registerShared registers those that say how the load reaches a target of the
// user's, and what works for it.
func (l *loadFlags) registerShared(fs *flag.FlagSet) {
	fs.IntVar(&l.streams, "streams", 1, "how many of them share a connection, over HTTP/2, gRPC and HTTP/3")
	fs.Var(&l.watch, "watch", "processes whose cost is read, as `NAME`=pid:NUMBER or NAME=cgroup:PATH; may be repeated")
}

func (l *loadFlags) register(fs *flag.FlagSet, rate string) {
	l.streams = 1
	fs.StringVar(&l.rate, "rate", rate, "requests per `second`: 1000, 100..2000@30s or 100@10s,500@10s; \"max\" for a closed loop")
	fs.BoolVar(&l.poisson, "poisson", false, "let requests arrive at random, as from many independent callers, instead of evenly")
	fs.IntVar(&l.connections, "connections", budget.DefaultConnections, "how many requests may be under way")
	fs.IntVar(&l.rounds, "rounds", budget.DefaultRounds, "how often each target has its turn")
	fs.DurationVar(&l.warmup, "warmup", budget.DefaultWarmup, "unmeasured beginning of each turn")
	fs.DurationVar(&l.block, "block", budget.DefaultBlock, "measured rest of each turn")
	fs.Uint64Var(&l.seed, "seed", 0, "seed of order and random arrivals (default: random)")
	fs.StringVar(&l.budget, "budget", "", "what it may cost, as p99=+500us,p50=+150us,p99.9=20ms,errors=0.1%,cpu=60us,rss=20MiB")
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
		flag    string
		n, most int
	}{{"connections", l.connections, budget.MaxConnections}, {"streams", l.streams, budget.MaxStreams}, {"rounds", l.rounds, budget.MaxRounds}} {
		if n.n < 1 || n.n > n.most {
			errs = append(errs, fmt.Errorf("--%s is %d, want 1 to %d", n.flag, n.n, n.most))
		}
	}
	if l.block <= 0 || l.block > budget.MaxBlock {
		errs = append(errs, fmt.Errorf("--block is %s, want more than nothing and at most %s", l.block, budget.MaxBlock))
	}
	if l.warmup < 0 || l.warmup > budget.MaxBlock {
		errs = append(errs, fmt.Errorf("--warmup is %s, want 0s to %s", l.warmup, budget.MaxBlock))
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
		if err != nil {
			err = fmt.Errorf("--%w", err)
		}
		if slices.ContainsFunc(groups, func(other watch.Group) bool { return other.Name == g.Name && err == nil }) {
			err = fmt.Errorf("--watch: the name %q stands there twice", g.Name)
		}
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

// options are those of a target, without its URL and TLS.
func (r *requestFlags) options(streams int) (target.Options, error) {
	o := target.Options{
		Protocol: target.Protocol(r.protocol), Method: r.method, Host: r.host, Body: []byte(r.body),
		Status: r.status, Timeout: r.timeout, Streams: streams,
	}
	var err error
	o.Header, err = fields(r.headers)
	errs := []error{err}
	if r.timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout is %s, want more than nothing", r.timeout))
	}
	if r.bodyFile != "" && r.body != "" {
		errs = append(errs, errors.New("--body and --body-file: give one of them"))
	}
	if r.bodyFile != "" {
		if o.Body, err = readFile(r.bodyFile); err != nil {
			errs = append(errs, fmt.Errorf("--body-file: %w", err))
		}
	}
	return o, errors.Join(append(errs, r.check())...)
}

// fields are those of --header.
func fields(lines []string) (all []target.Field, _ error) {
	var errs []error
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			errs = append(errs, fmt.Errorf("--header %q: write \"Name: value\"", line))
			continue
		}
		all = append(all, target.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	return all, errors.Join(errs...)
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
