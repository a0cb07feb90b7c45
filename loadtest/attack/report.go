package attack

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// Schema names the form of a Report as JSON. A member that is added keeps it; one
// that changes its meaning takes the next number.
const Schema = "outrider.dev/attack/v1"

// A Report is everything one run found out.
type Report struct {
	Schema  string    `json:"schema"`
	Tool    string    `json:"tool"` // name and version
	Command []string  `json:"command"`
	Date    time.Time `json:"date"` // of the beginning
	Seconds float64   `json:"seconds"`

	Settings Settings `json:"settings"`
	Corpus   Contents `json:"corpus"`

	// Detection is the share of the attacks that were stopped, FalseAlarms that of
	// the benign requests; both of those whose outcome says something.
	Detection   Share `json:"detection"`
	FalseAlarms Share `json:"false_positives"`
	// Outcomes are counted by label, Statuses too, of the answers.
	Outcomes map[corpus.Label]map[Outcome]int `json:"outcomes"`
	Statuses map[corpus.Label]map[int]int     `json:"statuses"`
	// Groups are the same by tag and by directory.
	Groups []Group `json:"groups,omitempty"`
	// Rules are what spoke, from the access log, most often first.
	Rules []Rule `json:"rules,omitempty"`
	// Latency is of the benign samples whose answer says something.
	Latency Latency `json:"benign_latency"`
	// Slowest are the samples that were answered last after they were sent.
	Slowest []Entry `json:"slowest"`

	// Missed are attacks that passed, Alarms benign requests that were stopped.
	Missed []Entry `json:"missed"`
	Alarms []Entry `json:"alarms"`
	// Refused were stopped by something else than the WAF's verdict, whatever that
	// counts as: no valid HTTP, or nothing that can be inspected.
	Refused []Entry `json:"refused"`
	// Unclear and Failed count for neither side.
	Unclear []Entry `json:"unclear"`

	// Gates are what the figures had to keep; Verdict is theirs together, empty
	// where there are none and the run is conclusive.
	Gates   []Gate         `json:"gates,omitempty"`
	Verdict budget.Verdict `json:"verdict,omitempty"`
	// Inconclusive is why the figures decide nothing; empty: they do.
	Inconclusive string `json:"inconclusive,omitempty"`
	// Doubts are what a reader must know before believing the figures.
	Doubts []string `json:"doubts,omitempty"`
}

// Settings are how the samples were sent and judged.
type Settings struct {
	URL           string  `json:"url"`
	Host          string  `json:"host"` // empty: the samples' own
	Connections   int     `json:"connections"`
	Rate          string  `json:"rate,omitempty"`
	Judged        string  `json:"judged_by"` // "answers" or "access_log"
	BlockStatus   []int   `json:"block_status"`
	UnclearStatus []int   `json:"unclear_status"`
	CountRefusals bool    `json:"count_refusals"`
	DropBlocks    bool    `json:"drop_blocks"`
	MaxErrors     float64 `json:"max_errors"`
}

// Contents is what was sent.
type Contents struct {
	Paths   []string `json:"paths"`
	Attacks int      `json:"attacks"`
	Benign  int      `json:"benign"`
	// Adjusted counts the samples that could not be sent byte by byte as they were
	// written.
	Adjusted   int              `json:"adjusted"`
	Unreadable []corpus.Problem `json:"unreadable"`
	Ignored    []string         `json:"ignored"`
}

// A Share is how many of how many, with the interval that holds the true share
// with 95 % confidence. Of nothing it is unknown: 0 to 1.
type Share struct {
	Count int     `json:"count"`
	Of    int     `json:"of"`
	Rate  float64 `json:"rate"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func shareOf(count, of int) Share {
	in := stats.Proportion(count, of)
	s := Share{Count: count, Of: of, Low: in.Low, High: in.High}
	if of > 0 {
		s.Rate = float64(count) / float64(of)
	}
	return s
}

// A Group is a part of the corpus.
type Group struct {
	By          string `json:"by"` // "tag" or "directory"
	Name        string `json:"name"`
	Detection   Share  `json:"detection"`
	FalseAlarms Share  `json:"false_positives"`
}

// A Rule is how many samples a rule spoke about.
type Rule struct {
	ID      int `json:"id"`
	Attacks int `json:"attacks"`
	Benign  int `json:"benign"`
}

// Latency holds percentiles in microseconds, from the sending of a request on an
// open connection to the end of its answer.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	Max   float64 `json:"max_us"`
}

// An Entry is one sample in a list.
type Entry struct {
	ID      string       `json:"id"`
	Source  string       `json:"source"`
	Label   corpus.Label `json:"label"`
	Tags    []string     `json:"tags,omitempty"`
	Request string       `json:"request"` // method and target, cut after 200 bytes
	Outcome Outcome      `json:"outcome"`
	Why     string       `json:"why,omitempty"`
	Status  int          `json:"status,omitempty"`
	Micros  float64      `json:"us,omitempty"`
	// Decision is the id in the Outrider's access log; the rest is from there.
	Decision      string `json:"decision_id,omitempty"`
	Score         int    `json:"score,omitempty"`
	Rules         []int  `json:"rules,omitempty"`
	Message       string `json:"message,omitempty"`
	Location      string `json:"location,omitempty"`
	InspectMicros int64  `json:"inspect_us,omitempty"`
}

// A Gate is one bound, and what became of it.
type Gate struct {
	What    string         `json:"what"` // "detection" or "false_positives"
	Bound   float64        `json:"bound"`
	Verdict budget.Verdict `json:"verdict"`
	// Note is what would make a difference; empty where nothing would.
	Note string `json:"note,omitempty"`
}

func (r *Report) doubt(format string, args ...any) {
	r.Doubts = append(r.Doubts, fmt.Sprintf(format, args...))
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
