// Command outrider is the sidecar: it runs the data plane, checks its
// configuration and policies, and shows itself in an embedded demo.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(program().Main(context.Background())) }
