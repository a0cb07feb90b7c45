package proxies

import (
	"context"
	"errors"
	"strings"
)

// stunnel is the TLS tunnel from the distribution's package. It is no rival of
// the others: it carries bytes, and shows what is left of the cost when nobody
// reads HTTP, pools connections or logs requests.
type stunnel struct{}

func (stunnel) Locate(ctx context.Context) (Install, error) {
	// Not the script "stunnel3", which takes other arguments.
	path, err := onPath("stunnel4")
	if errors.Is(err, ErrAbsent) {
		path, err = onPath("stunnel")
	}
	if err != nil {
		return Install{}, err
	}
	version, err := askFor(ctx, "stunnel ", path, "-version")
	if words := strings.Fields(version); len(words) > 1 {
		version = "stunnel/" + words[1]
	}
	return Install{Path: path, Version: version}, err
}

func (stunnel) Command(at Install, side Side) (Command, error) {
	config, err := render("stunnel.conf", side.Dir, side)
	if err != nil {
		return Command{}, err
	}
	return Command{Path: at.Path, Args: []string{config}}, nil
}
