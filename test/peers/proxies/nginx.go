package proxies

import (
	"context"
	"strings"
)

// nginx is the web server from the distribution's package.
type nginx struct{}

func (nginx) Locate(ctx context.Context) (Install, error) {
	path, err := onPath("nginx")
	if err != nil {
		return Install{}, err
	}
	version, err := ask(ctx, path, "-v")
	return Install{Path: path, Version: strings.TrimPrefix(version, "nginx version: ")}, err
}

func (nginx) Command(at Install, side Side) (Command, error) {
	config, err := render("nginx.conf", side)
	if err != nil {
		return Command{}, err
	}
	return Command{Path: at.Path, Args: []string{"-p", side.Dir, "-e", "stderr", "-c", config}}, nil
}
