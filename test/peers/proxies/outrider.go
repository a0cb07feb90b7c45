package proxies

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// outrider is the sidecar itself.
type outrider struct {
	path string
	// profile is the rule set by which its inbound side inspects; empty:
	// inspection is off.
	profile string
	// bytes of a body are inspected; 0: as many as by default.
	bytes int
}

func (o outrider) Locate(ctx context.Context) (Install, error) {
	if _, err := os.Stat(o.path); err != nil {
		return Install{}, fmt.Errorf("outrider at %s: %w (make build makes it)", o.path, ErrAbsent)
	}
	path, err := filepath.Abs(o.path)
	if err != nil {
		return Install{}, fmt.Errorf("locate outrider: %w", err)
	}
	version, err := ask(ctx, path, "version")
	if o.profile != "" {
		version += engine(path) + ", profile " + o.profile
	}
	return Install{Path: path, Version: version}, err
}

// engine tells which inspection a binary was built with, as far as it knows.
func engine(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "" // it runs all the same
	}
	var said strings.Builder
	for _, dep := range info.Deps {
		switch version := strings.TrimPrefix(dep.Version, "v"); dep.Path {
		case "github.com/corazawaf/coraza/v3":
			said.WriteString(", Coraza " + version)
		case "github.com/corazawaf/coraza-coreruleset/v4":
			said.WriteString(", CRS " + version)
		}
	}
	return said.String()
}

func (o outrider) Command(at Install, side Side) (Command, error) {
	config, err := render("outrider.yaml", side.Dir, side)
	if err != nil {
		return Command{}, err
	}
	if !side.Outbound {
		if err := o.writePolicies(side); err != nil {
			return Command{}, err
		}
	}
	command := Command{Path: at.Path, Args: []string{"run", "--config", config}}
	if side.Workers > 0 {
		command.Env = []string{"GOMAXPROCS=" + strconv.Itoa(side.Workers)}
	}
	return command, nil
}

// writePolicies writes the rules of the inbound side to a directory of its own:
// everything in that directory is taken for a policy.
func (o outrider) writePolicies(side Side) error {
	dir := filepath.Join(side.Dir, "policies")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make the policy directory: %w", err)
	}
	if _, err := render("allow.yaml", dir, side); err != nil {
		return err
	}
	if o.profile == "" {
		return nil
	}
	_, err := render("inspect.yaml", dir, struct {
		Profile string
		Bytes   int
	}{o.profile, cmp.Or(o.bytes, 128<<10)})
	return err
}
