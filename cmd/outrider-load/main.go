// Command outrider-load replays attacks and says how good the WAF is that they
// met.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

func main() {
	err := run(context.Background(), os.Args[1:], environment{
		Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	var status exitStatus
	if err != nil && !errors.As(err, &status) {
		fmt.Fprintln(os.Stderr, "outrider-load:", err)
		status = statusBroken
	}
	os.Exit(int(status))
}
