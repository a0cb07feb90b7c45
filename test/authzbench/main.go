// Command authzbench times one authorization decision by Outrider, cedar-go and
// OPA under equivalent policies of growing size, all in one run.
//
// It is a module of its own, so that the product depends on neither of the
// others. README.md tells what is compared and how it is kept fair.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "authzbench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("authzbench", flag.ContinueOnError)
	sizes := fs.String("sizes", "10,1000,10000,100000", "numbers of `rules`")
	rounds := fs.Int("rounds", 9, "how many times each engine has its turn")
	window := fs.Duration("window", 100*time.Millisecond, "how long a turn takes")
	page := fs.String("markdown", "", "the `page` whose part between the markers is replaced")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *page != "" { // rather now than after the minutes that it takes
		if _, _, err := around(*page); err != nil {
			return err
		}
	}
	r := newResult(args)
	for _, s := range shapes() {
		for text := range strings.SplitSeq(*sizes, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("read sizes: %w", err)
			}
			fmt.Fprintf(out, "%s, %d rules\n", s.name, n)
			row, err := measure(s, n, *rounds, *window, out)
			if err != nil {
				return fmt.Errorf("%s, %d rules: %w", s.name, n, err)
			}
			r.rows = append(r.rows, row)
		}
	}
	fmt.Fprint(out, "\n", r.markdown())
	if *page == "" {
		return nil
	}
	return r.write(*page)
}
