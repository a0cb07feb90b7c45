// Command testreport reads the output of "go test -json" and prints it for
// people: a line for each package, the whole output of what failed, and at the
// end every skipped test with its reason.
//
// A skip is easily overlooked in a long log and a test that ran nothing passes,
// so the skips are listed and the number of tests has a stated minimum.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	least := flag.Int("min", 1, "fail when fewer tests than this ran")
	flag.Parse()
	report := newReport(os.Stdout)
	if err := report.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if err := report.finish(*least); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}
