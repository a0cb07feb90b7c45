package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/test/peers/proxies"
)

// A candidate is a program that was asked for and is here.
type candidate struct {
	proxies.Entry
	install proxies.Install
}

// note is what tells it from the others of its table.
func (c candidate) note() string {
	if c.Opaque {
		return "TCP only: no HTTP, no access log"
	}
	return ""
}

func names(found []candidate) []string {
	all := make([]string, len(found))
	for i, c := range found {
		all[i] = c.Name
	}
	return all
}

// locate finds the programs that fit and take part. One that is absent is
// noted and left out, unless it was asked for by name.
func (b *benchmark) locate(ctx context.Context, fits func(proxies.Entry) bool, absent map[string]string) ([]candidate, error) {
	var found []candidate
	for _, entry := range b.catalogue {
		if !fits(entry) || !b.options.wants(entry.Name, entry.Default) {
			continue
		}
		install, err := entry.Program.Locate(ctx)
		switch {
		case errors.Is(err, proxies.ErrAbsent) && len(b.options.only.values) == 0:
			absent[entry.Name] = err.Error()
		case err != nil:
			return nil, err
		default:
			found = append(found, candidate{entry, install})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("compare proxies: %w: none of those asked for", proxies.ErrAbsent)
	}
	return found, nil
}

// The tables of the parts.
func inspects(e proxies.Entry) bool { return e.Inspects }
func forwards(e proxies.Entry) bool { return !e.Inspects }
func calls(e proxies.Entry) bool    { return e.Calls }

// locateBases finds the programs of a table that inspects as they are when they don't,
// each once: what inspection costs is what they differ by.
func (b *benchmark) locateBases(ctx context.Context, inspecting []candidate) ([]candidate, error) {
	var found []candidate
	for _, c := range inspecting {
		i := slices.IndexFunc(b.catalogue, func(e proxies.Entry) bool { return e.Name == c.Without })
		if i < 0 || slices.Contains(names(found), c.Without) {
			continue
		}
		install, err := b.catalogue[i].Program.Locate(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, candidate{b.catalogue[i], install})
	}
	return found, nil
}
