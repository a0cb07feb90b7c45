package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An idRange is one id or several.
type idRange struct{ from, to int }

func (r idRange) has(id int) bool { return r.from <= id && id <= r.to }

// parseIDs reads ids and ranges of ids, separated by spaces.
func parseIDs(words []string) ([]idRange, error) {
	var all []idRange
	for _, w := range words {
		first, last, isRange := strings.Cut(w, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(last)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no id: %w", w, err)
		}
		all = append(all, idRange{from, to})
	}
	return all, nil
}

func (s *Set) removeByID(text string) error {
	ranges, err := parseIDs(strings.Fields(strings.Trim(text, `"`)))
	if err != nil {
		return err
	}
	s.Rules = slices.DeleteFunc(s.Rules, func(r *Rule) bool {
		return slices.ContainsFunc(ranges, func(i idRange) bool { return i.has(r.ID) && r.Mark == "" })
	})
	return nil
}

func (s *Set) removeByTag(tag string) {
	s.Rules = slices.DeleteFunc(s.Rules, func(r *Rule) bool { return slices.Contains(r.Tags, tag) })
}

// updateTargetByID changes the targets of rules that are there already. The engine
// looks at one id only where there are several; we take the first, too.
func (s *Set) updateTargetByID(text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return errors.New("there are no targets")
	}
	if len(words) > 2 {
		return errors.New("several ids are not read")
	}
	ranges, err := parseIDs(words[:1])
	if err != nil {
		return err
	}
	return s.updateTargets(words[1], func(r *Rule) bool { return ranges[0].has(r.ID) })
}

func (s *Set) updateTargetByTag(text string) error {
	words := strings.Fields(text)
	if len(words) != 2 {
		return errors.New("there is not one tag and one list")
	}
	tag := strings.Trim(words[0], `"`)
	return s.updateTargets(words[1], func(r *Rule) bool { return slices.Contains(r.Tags, tag) })
}

func (s *Set) updateTargets(targets string, of func(*Rule) bool) error {
	for _, r := range s.Rules {
		if r.Mark != "" || !of(r) {
			continue
		}
		var err error
		if r.Targets, err = parseTargets(r.Targets, strings.Trim(targets, `"`)); err != nil {
			return err
		}
	}
	return nil
}
