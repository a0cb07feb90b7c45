package attack

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// WriteList writes entries one a line: id, status, score, rules and request,
// separated by tabs. [ReadList] reads the ids again.
func WriteList(w io.Writer, entries []Entry) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# id\tstatus\tscore\trules\trequest\n")
	for _, e := range entries {
		fmt.Fprintf(b, "%s\t%d\t%d\t%s\t%s\n", e.ID, e.Status, e.Score, numbers(e.Rules), request(e))
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write a list: %w", err)
	}
	return nil
}

// maxListed bounds a line of a list, in bytes: an id, sixteen rules and a request
// cut short are below 1 KiB.
const maxListed = 16 << 10

// ReadList returns the ids of a list: what stands before the first tab of each
// line that does not begin with #.
func ReadList(r io.Reader) ([]string, error) {
	var ids []string
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxListed)
	for s.Scan() {
		id, _, _ := strings.Cut(s.Text(), "\t")
		if id != "" && !strings.HasPrefix(id, "#") {
			ids = append(ids, id)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read a list: %w", err)
	}
	return ids, nil
}

// Select leaves of a corpus the samples with these ids, in their order in the
// corpus. It fails if one is not there: a list that is out of date would pass for
// a success.
func Select(c *corpus.Corpus, ids []string) (*corpus.Corpus, error) {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	some := new(corpus.Corpus)
	for _, s := range c.Samples {
		if wanted[s.ID] {
			some.Samples = append(some.Samples, s)
			delete(wanted, s.ID)
		}
	}
	for _, id := range ids {
		if wanted[id] {
			return nil, fmt.Errorf("the corpus has no sample %q (%s in the list are not there)", id, plural(len(wanted), "id", "ids"))
		}
	}
	return some, nil
}
