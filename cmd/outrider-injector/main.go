// Command outrider-injector is the control plane: it answers the API server, which
// asks what becomes of a pod, and keeps the certificate that this takes.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(program().Main(context.Background())) }
