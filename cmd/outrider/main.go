// Command outrider is the sidecar: it runs the data plane, checks its
// configuration and policies, and shows itself in an embedded demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

func main() {
	err := run(context.Background(), os.Args[1:], environment{
		getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr,
	})
	var status exitStatus
	if err != nil && !errors.As(err, &status) {
		fmt.Fprintln(os.Stderr, "outrider:", err)
		status = 1
	}
	os.Exit(int(status))
}
