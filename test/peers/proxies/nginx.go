package proxies

import (
	"context"
	"strings"
)

// nginx is the web server from the distribution's package.
type nginx struct {
	// modsecurity makes its inbound side inspect; nil: nothing is inspected.
	modsecurity *modsecurity
}

func (n nginx) Locate(ctx context.Context) (Install, error) {
	path, err := onPath("nginx")
	if err != nil {
		return Install{}, err
	}
	version, err := ask(ctx, path, "-v")
	if err != nil {
		return Install{}, err
	}
	version = strings.TrimPrefix(version, "nginx version: ")
	if n.modsecurity != nil {
		more, err := n.modsecurity.version()
		if err != nil {
			return Install{}, err
		}
		version += ", " + more
	}
	return Install{Path: path, Version: version}, nil
}

func (n nginx) Command(at Install, side Side) (Command, error) {
	data := struct {
		Side
		// Module is the shared object that inspects, Rules what it is told; empty
		// where nothing is inspected.
		Module, Rules string
	}{Side: side}
	if n.modsecurity != nil && !side.Outbound {
		var err error
		if data.Rules, err = render("modsecurity.conf", side.Dir, debianModSecurity()); err != nil {
			return Command{}, err
		}
		data.Module = debianModSecurity().Module
	}
	config, err := render("nginx.conf", side.Dir, data)
	if err != nil {
		return Command{}, err
	}
	return Command{Path: at.Path, Args: []string{"-p", side.Dir, "-e", "stderr", "-c", config}}, nil
}
