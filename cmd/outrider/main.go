// Command outrider is the sidecar: it runs the data plane, checks its
// configuration and policies, and shows itself in an embedded demo.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	// quic-go would say by itself, to standard error and with an address of its own
	// documentation, what proxy/quic says in the log.
	if err := os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true"); err != nil {
		fmt.Fprintln(os.Stderr, "outrider:", err)
	}
	os.Exit(program().Main(context.Background()))
}
