// Command shop is the shop of the examples: three services in one static program, and
// a client to call them with. It knows nothing of Outrider, TLS or identities: that is
// what the example is about.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
