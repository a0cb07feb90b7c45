package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// hits are what the rule set found in one sample, under one profile.
type hits struct {
	Outcome string `json:"outcome"`
	Score   int    `json:"score"`
	Rules   []int  `json:"rules,omitempty"`
	Message string `json:"message,omitempty"`
	// Reason is why not all of it was inspected.
	Reason string `json:"reason,omitempty"`
}

// attacked tells whether mode Block would have refused it for what was found.
func (h hits) attacked() bool { return h.Outcome == flow.Detected.String() }

// A cache is what is known of samples: the rule set takes minutes over a corpus that
// our own part is through with in seconds.
type cache struct {
	path    string
	entries map[string]entry
}

type entry struct {
	ID    string `json:"id"`
	Bytes int    `json:"bytes"` // of the sample; another number is another sample
	Stock hits   `json:"stock"`
	Mesh  hits   `json:"mesh"`
	// Heard is what the rule set said under the mesh profile, and Refused that one of
	// its rules refused the request by itself.
	Heard   []evidence.Hit `json:"heard,omitempty"`
	Refused bool           `json:"refused,omitempty"`
}

func sizeOf(s *corpus.Sample) int {
	n := len(s.Method) + len(s.Target) + len(s.Body)
	for _, f := range s.Header {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

func loadCache(path string) (*cache, error) {
	c := &cache{path: path, entries: map[string]entry{}}
	if path == "" {
		return c, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the cache: %w", err)
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReader(f))
	for {
		var e entry
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the cache %s: %w", path, err)
		}
		c.entries[e.ID] = e
	}
}

// fill asks the engines about all samples that are not known yet.
func (c *cache) fill(ctx context.Context, samples []corpus.Sample, inspectBytes int, progress io.Writer) error {
	var missing []*corpus.Sample
	for i := range samples {
		if e, ok := c.entries[samples[i].ID]; !ok || e.Bytes != sizeOf(&samples[i]) {
			missing = append(missing, &samples[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var heard []evidence.Hit
	stock, err := inspector(config.ProfileCRS, inspectBytes, nil)
	if err != nil {
		return err
	}
	defer stock.Close()
	ours, err := inspector(config.ProfileMesh, inspectBytes, func(hits []evidence.Hit) { heard = hits })
	if err != nil {
		return err
	}
	defer ours.Close()
	for n, s := range missing {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entry{ID: s.ID, Bytes: sizeOf(s), Stock: judge(ctx, stock, s)}
		heard = nil
		e.Mesh = judge(ctx, ours, s)
		e.Heard, e.Refused = heard, refused(e.Mesh.Rules)
		c.entries[s.ID] = e
		if n%1000 == 999 {
			fmt.Fprintf(progress, "%d of %d samples\n", n+1, len(missing))
		}
	}
	return c.save()
}

// refused tells whether one of the base rules is among some.
func refused(rules []int) bool {
	return slices.ContainsFunc(rules, func(id int) bool { return id >= 7100000 && id < 7100100 })
}

func inspector(profile config.Profile, inspectBytes int, witness func([]evidence.Hit)) (*inspect.Inspector, error) {
	var doc config.InspectionPolicy
	doc.Metadata.Name = string(profile)
	doc.Spec = config.InspectionSpec{Mode: config.DetectOnly, Profile: profile}
	doc.Spec.Body.InspectBytes = inspectBytes
	return inspect.New([]config.InspectionPolicy{doc}, inspect.Options{
		Workload: authz.Workload{Name: "corpus"},
		Witness:  witness,
		Bounds:   func() inspect.Bounds { return inspect.Bounds{Wait: time.Hour, Budget: time.Hour} },
	})
}

func judge(ctx context.Context, i *inspect.Inspector, s *corpus.Sample) hits {
	req := requestOf(s)
	plan := i.Plan(req)
	body, complete := plan.First(s.Body)
	v := i.Inspect(ctx, req, plan, body, complete)
	return hits{Outcome: v.Outcome.String(), Score: v.Score, Rules: v.Rules, Message: v.Message, Reason: reason(v)}
}

func reason(v flow.Inspection) string {
	if v.Uninspected == flow.Inspected {
		return ""
	}
	return v.Uninspected.String()
}

// save writes the cache anew, a line for each sample.
func (c *cache) save() error {
	if c.path == "" {
		return nil
	}
	f, err := os.Create(c.path)
	if err != nil {
		return fmt.Errorf("write the cache: %w", err)
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, e := range c.entries {
		if err = enc.Encode(e); err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write the cache: %w", err)
	}
	return nil
}
