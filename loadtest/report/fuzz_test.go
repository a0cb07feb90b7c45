package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// A report comes from a file, which anybody may have written. Whatever is in it:
// the table keeps to its terminal, the page to its elements, metrics are refused or
// can be read, and a report is no worse than itself.
func FuzzDocuments(f *testing.F) {
	// Small ones: of a large one the engine tries for a minute to make it smaller.
	for _, d := range []*Document{short(f), alone(f), document()} {
		for i := range d.Scenarios {
			s := &d.Scenarios[i]
			for j := range s.Targets {
				t := &s.Targets[j]
				t.Series, t.Rounds, t.Watched, t.Latency.Histogram = t.Series[:1], t.Rounds[:1], nil, ""
			}
			for j := range s.Comparisons {
				s.Comparisons[j].Findings = s.Comparisons[j].Findings[3:4]
			}
		}
		d.Machine, d.Command = watch.Machine{}, nil
		text, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"schema":"outrider.dev/load/v1","scenarios":[{"targets":[{"name":"a","requests":9223372036854775807,"failures":{"x":9223372036854775807},"unsent":-1,
		"latency":{"p50_us":1e308,"mean_us":-1e308},"series":[{"requests":-1,"failed":-1,"p50_us":1e-308,"p99_us":1e308}],"rounds":[{"us":{"p50":1e308,"pp":1}}],
		"watched":[{"name":"w","cpu_us_per_request":-1,"rss_bytes":-1}]}],"load":{"block_seconds":1e-300,"rounds":-1},
		"comparisons":[{"test":"a","findings":[{"what":"p50","unit":"us","test":1e308,"budget":-1e308,"interval":{"low":1e308,"high":-1e308}}]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ReadJSON(bytes.NewReader(text))
		if err != nil {
			return
		}
		var table, difference, metrics strings.Builder
		if err := d.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		checkTerminal(t, table.String())
		_, root := written(t, d)
		checkSelfContained(t, root)
		if err := d.WritePrometheus(&metrics); err == nil {
			checkExposition(t, metrics.String())
		}
		itself := Diff(d, d)
		if itself.Outcome == Worse || itself.Outcome == Improved {
			t.Errorf("a report is %s than itself", itself.Outcome)
		}
		if err := itself.WriteTable(&difference); err != nil {
			t.Fatal(err)
		}
		checkTerminal(t, difference.String())
	})
}
