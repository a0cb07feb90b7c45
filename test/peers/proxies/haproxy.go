package proxies

import (
	"context"
	"strings"
)

// haproxy is the load balancer from the distribution's package.
type haproxy struct{}

func (haproxy) Locate(ctx context.Context) (Install, error) {
	path, err := onPath("haproxy")
	if err != nil {
		return Install{}, err
	}
	version, err := ask(ctx, path, "-v")
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "HAProxy version "), " ")
	return Install{Path: path, Version: "haproxy/" + version}, err
}

func (haproxy) Command(at Install, side Side) (Command, error) {
	config, err := render("haproxy.cfg", side.Dir, side)
	if err != nil {
		return Command{}, err
	}
	// -db keeps it in the foreground as one process.
	return Command{Path: at.Path, Args: []string{"-db", "-q", "-f", config}}, nil
}
