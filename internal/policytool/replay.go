package policytool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/authz/replay"
)

// A ReplayRequest asks what other policies would change.
type ReplayRequest struct {
	LogRequest
	// With is the directory of the policies to try.
	With string
	// Against is the directory of those to compare with; empty: what the records
	// say was decided.
	Against string
	// Trial lets policies in mode DryRun count in With.
	Trial bool
	// JSON prints for programs.
	JSON bool
}

// Replay prints what would change.
func Replay(ctx context.Context, r ReplayRequest, out io.Writer) (replay.Result, error) {
	if len(r.Files) == 0 {
		return replay.Result{}, errNoLog
	}
	log, err := r.read(ctx)
	if err != nil {
		return replay.Result{}, err
	}
	after, err := r.judge(ctx, r.With, r.Trial)
	if err != nil {
		return replay.Result{}, err
	}
	var before *replay.Judge
	if r.Against != "" {
		if before, err = r.judge(ctx, r.Against, false); err != nil {
			return replay.Result{}, err
		}
	}
	result := replay.Compare(log, before, after)
	if r.JSON {
		return result, replayJSON(out, log, &result)
	}
	p := &printer{w: out}
	replayText(p, log, &result)
	return result, p.err
}

func (r *ReplayRequest) judge(ctx context.Context, dir string, trial bool) (*replay.Judge, error) {
	d, err := Load(ctx, dir)
	if err != nil {
		return nil, err
	}
	opts := options(d, r.Workload)
	opts.Trial = trial
	j, err := replay.NewJudge(d.Access, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return j, nil
}

func replayText(p *printer, log *observed.Log, r *replay.Result) {
	for _, c := range r.Changes {
		p.printf("%s → %s  %s\n", c.Before, c.After, kindOf(&c))
		p.printf("    %s of %s, by %s\n", counted(c.Hits, "call"), counted(c.Routes, "route"), c.By)
		for _, e := range c.Examples {
			what := e.Path
			if what == "" {
				what = "from " + e.Source.String()
			}
			p.printf("    %7d  %s  (decision %s)\n", e.Hits, printable(what), printable(e.Example))
			if e.Why != "" {
				p.printf("             %s\n", printable(e.Why))
			}
		}
		p.printf("\n")
	}
	p.printf("%d calls from %s to %s: %d newly denied, %d newly allowed, %d can't be told, %d as before, %d refused before any policy\n",
		log.Records, log.First.Format(time.RFC3339), log.Last.Format(time.RFC3339), r.Denied, r.Allowed, r.Unknown, r.Same, r.Undecided)
	for _, note := range readNotes(log) {
		p.printf("note: %s\n", note)
	}
}

func kindOf(c *replay.Change) string {
	caller, what := c.Caller, c.Method
	if caller == "" {
		caller = "callers without identity"
	}
	if what == "" {
		what = "connections"
	}
	return fmt.Sprintf("%s  %s, port %d", caller, printable(what), c.Port)
}

// counted is a number and what it counts.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// What programs read of a replay. Names are stable.
type (
	replayDocument struct {
		First     time.Time    `json:"first"`
		Last      time.Time    `json:"last"`
		Records   int          `json:"records"`
		Denied    int          `json:"newlyDenied"`
		Allowed   int          `json:"newlyAllowed"`
		Unknown   int          `json:"unknown"`
		Same      int          `json:"same"`
		Undecided int          `json:"undecided"`
		Changes   []changeJSON `json:"changes"`
		Notes     []string     `json:"notes,omitempty"`
	}
	changeJSON struct {
		Before   string        `json:"before"`
		After    string        `json:"after"`
		Caller   string        `json:"caller,omitempty"`
		Port     uint16        `json:"port"`
		Method   string        `json:"method,omitempty"`
		By       string        `json:"by"`
		Hits     int           `json:"hits"`
		Routes   int           `json:"routes"`
		Examples []exampleJSON `json:"examples"`
	}
	exampleJSON struct {
		Path     string `json:"path,omitempty"`
		Source   string `json:"source"`
		Hits     int    `json:"hits"`
		Decision string `json:"decision,omitempty"`
		Why      string `json:"why,omitempty"`
	}
)

func replayJSON(out io.Writer, log *observed.Log, r *replay.Result) error {
	d := replayDocument{
		First: log.First, Last: log.Last, Records: log.Records, Denied: r.Denied, Allowed: r.Allowed, Unknown: r.Unknown,
		Same: r.Same, Undecided: r.Undecided, Changes: []changeJSON{}, Notes: readNotes(log),
	}
	for _, c := range r.Changes {
		j := changeJSON{c.Before.String(), c.After.String(), c.Caller, c.Port, c.Method, c.By, c.Hits, c.Routes, nil}
		for _, e := range c.Examples {
			j.Examples = append(j.Examples, exampleJSON{e.Path, e.Source.String(), e.Hits, e.Example, e.Why})
		}
		d.Changes = append(d.Changes, j)
	}
	return writeJSON(out, d)
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
