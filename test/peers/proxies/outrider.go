package proxies

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// outrider is the sidecar itself, inspection off.
type outrider struct{ path string }

func (o outrider) Locate(ctx context.Context) (Install, error) {
	if _, err := os.Stat(o.path); err != nil {
		return Install{}, fmt.Errorf("outrider at %s: %w (make build makes it)", o.path, ErrAbsent)
	}
	path, err := filepath.Abs(o.path)
	if err != nil {
		return Install{}, fmt.Errorf("locate outrider: %w", err)
	}
	version, err := ask(ctx, path, "version")
	return Install{Path: path, Version: version}, err
}

func (outrider) Command(at Install, side Side) (Command, error) {
	config, err := render("outrider.yaml", side)
	if err != nil {
		return Command{}, err
	}
	if !side.Outbound {
		if err := writePolicy(side); err != nil {
			return Command{}, err
		}
	}
	command := Command{Path: at.Path, Args: []string{"run", "--config", config}}
	if side.Workers > 0 {
		command.Env = []string{"GOMAXPROCS=" + strconv.Itoa(side.Workers)}
	}
	return command, nil
}

// writePolicy writes the rule of the inbound side to a directory of its own:
// everything in that directory is taken for a policy.
func writePolicy(side Side) error {
	side.Dir = filepath.Join(side.Dir, "policies")
	if err := os.Mkdir(side.Dir, 0o700); err != nil {
		return fmt.Errorf("make the policy directory: %w", err)
	}
	_, err := render("allow.yaml", side)
	return err
}
