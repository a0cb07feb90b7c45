package proxies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"
)

// askTimeout bounds a question to a program about its version or place.
const askTimeout = 10 * time.Second

// onPath finds an executable.
func onPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", name, ErrAbsent)
	}
	if err != nil {
		return "", fmt.Errorf("look for %s: %w", name, err)
	}
	return path, nil
}

// ask runs a program to its end and returns the first line it says, on either
// of its outputs.
func ask(ctx context.Context, path string, args ...string) (string, error) {
	return askFor(ctx, "", path, args...)
}

// askFor is ask for the first line that begins with a prefix.
func askFor(ctx context.Context, prefix, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s %s: %w", path, strings.Join(args, " "), err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && strings.HasPrefix(line, prefix) {
			return line, nil
		}
	}
	return "", fmt.Errorf("ask %s %s: no answer that begins with %q", path, strings.Join(args, " "), prefix)
}

// isELF tells a program from a script that starts one: the script's
// interpreter would count as part of what is measured.
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	n, err := f.Read(magic[:])
	return err == nil && string(magic[:n]) == "\x7fELF"
}
