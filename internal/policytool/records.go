package policytool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/observed"
)

// A LogRequest names access logs and whose they are.
type LogRequest struct {
	// Files are the logs; "-" is standard input.
	Files []string
	Stdin io.Reader
	// Workload is whose they are. What it leaves out is taken from the records.
	Workload authz.Workload
}

// read reads the logs, and completes the workload from what they say.
func (r *LogRequest) read(ctx context.Context) (*observed.Log, error) {
	log := new(observed.Log)
	for _, name := range r.Files {
		if err := r.readFile(ctx, log, name); err != nil {
			return nil, err
		}
	}
	if log.Records == 0 {
		return nil, fmt.Errorf("no record of a call to the workload in %s: %d lines are none, %d calls are outbound, %d are cut short",
			strings.Join(r.Files, ", "), log.Damaged, log.Outbound, log.Cut)
	}
	return log, r.complete(log.Workloads)
}

// interruptible ends a read when the command is interrupted.
type interruptible struct {
	io.Reader
	ctx context.Context //nolint:containedctx // of one call of read
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.Reader.Read(p)
}

func (r *LogRequest) readFile(ctx context.Context, log *observed.Log, name string) error {
	if name == "-" {
		return log.Read("standard input", interruptible{r.Stdin, ctx})
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return log.Read(name, interruptible{f, ctx})
}

// complete takes the trust domain and the namespace from the workload's identity.
// A log of several workloads would mix what one may do with what another may.
func (r *LogRequest) complete(workloads []spiffeid.ID) error {
	var ids []string
	var id spiffeid.ID
	for _, w := range workloads {
		if !w.IsZero() {
			ids, id = append(ids, w.String()), w
		}
	}
	if len(ids) > 1 {
		return fmt.Errorf("the records are of %d workloads: %s; give those of one", len(ids), strings.Join(ids, ", "))
	}
	w := &r.Workload
	if len(ids) == 1 && w.TrustDomain == "" {
		w.TrustDomain = id.TrustDomain().Name()
	}
	if parts := strings.Split(id.Path(), "/"); len(ids) == 1 && w.Name == "" && len(parts) == 5 && parts[1] == "ns" {
		w.Namespace = parts[2]
	}
	return nil
}

// readNotes are what a reader of the result should know of the log.
func readNotes(log *observed.Log) (notes []string) {
	note := func(n int, what, more string) {
		if n > 0 {
			notes = append(notes, what+": "+strconv.Itoa(n)+more)
		}
	}
	note(log.Damaged, "lines that are no records", ", the first at "+log.FirstDamaged)
	note(log.Cut, "records left out, in which the log has shortened what policies look at", "")
	note(log.Outbound, "records left out, of calls that the workload made", "")
	return notes
}

// errNoLog is for a command line without a log.
var errNoLog = errors.New("name an access log, or - for standard input")
