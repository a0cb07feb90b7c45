package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/self"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// measureSelf is "outrider-load self".
func measureSelf(ctx context.Context, args []string, env cli.Environment) (err error) {
	fs := program().Flags("self")
	var l loadFlags
	var o outputFlags
	l.register(fs, defaultSelfRate)
	o.register(fs)
	method := fs.String("method", "", "method (default: GET, or POST with a body)")
	path := fs.String("path", "/1024", "`path` to ask for; /N is answered with N bytes")
	body := fs.String("body", "", "text of each request's body; say with --header what it is, or inspection refuses it")
	var headers words
	fs.Var(&headers, "header", "header field, as \"`Name`: value\"; may be repeated")
	if _, err := program().Parse(fs, args, 0, env); err != nil {
		return err
	}
	header, headerErr := fields(headers)
	request := target.Options{Method: *method, Header: header, Body: []byte(*body)}
	plan, bounds, err := l.plan()
	if err := distinct(err, headerErr, o.check(), checkSelf(request, *path)); err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	p := newProgress(env.Stderr)
	defer p.end()
	m, err := startSelf(ctx, true, env)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, name := range []string{budget.Direct, budget.Mesh, budget.Inspected} {
		s, err := selfSubject(m, name, request, *path)
		if err != nil {
			return err
		}
		plan.Targets = append(plan.Targets, s)
	}
	d := document(append([]string{fs.Name()}, args...))
	s, err := measure(ctx, "self", plan, bounds, p)
	if err != nil {
		return interrupted(ctx, err)
	}
	p.end()
	return publish(d, []report.Scenario{s}, o, env)
}

// checkSelf names what is wrong with a request before a mesh is started for it.
func checkSelf(request target.Options, path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("--path %q does not begin with a slash", path)
	}
	request.URL = "http://localhost" + path
	_, err := target.New(request)
	return err
}

// startSelf starts the mesh of this machine.
func startSelf(ctx context.Context, inspected bool, env cli.Environment) (*self.Mesh, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return self.Start(ctx, self.Options{Executable: executable, Inspected: inspected, Warn: env.Stderr})
}

// selfSubject is one way through that mesh.
func selfSubject(m *self.Mesh, name string, o target.Options, path string) (compare.Subject, error) {
	s := compare.Subject{Name: name, Between: m.Tidy}
	o.URL = "http://" + m.Direct
	switch name {
	case budget.Mesh:
		o.URL, s.Watch = "http://"+m.Sidecars, m.WatchSidecars()
	case budget.Inspected:
		o.URL, s.Watch = "http://"+m.Inspected, m.WatchInspected()
	}
	o.URL += path
	var err error
	s.Target, err = target.New(o)
	return s, err
}
