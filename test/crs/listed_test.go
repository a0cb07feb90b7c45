package crs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/ftw"
)

// A why is the reason for which a case may come out otherwise than the suite has
// it. What is listed and comes out as the suite has it is an error too.
type why string

const (
	// answer: what the case wants is found in the application's answer, or in
	// a report about it. Answers are not inspected.
	answer why = "about answers, which are not inspected"
	// notHTTP: the engine refuses the request, as Apache does, but with other
	// means: it closes, or has another status.
	notHTTP why = "refused as no HTTP/1.1, with another status than Apache's"
	// stricter: the suite wants the rules to see what our HTTP/1.1 refuses to
	// read in the first place, for another server may read it otherwise.
	stricter why = "refused by the HTTP engine, which is stricter than Apache"
	// path: the path has two readings, so none.
	path why = "refused for a path that can be read in two ways"
	// body: a rule of ours refuses the body before any other looks at it.
	body why = "refused by rule 7100008, as the body ends before it should"
	// server: Apache would have changed or refused the request, so the suite
	// knows that the rule does not match. Without HTTP in front of it, it does.
	server why = "the request cannot come over HTTP, and here there is none"
	// upstream: those who run the suite with Coraza ignore it, too: it says of
	// itself that it depends on the server.
	upstream why = "ignored upstream as well: it depends on the server"
)

// listedInProcess are the cases that differ where requests come straight to the
// rules.
func listedInProcess() map[string]why {
	return map[string]why{
		"920181-1": server,
		"920400-1": body,
		"920430-5": upstream,
		"920640-5": server,
		"921140-1": server,
	}
}

// listedThroughASidecar are those that differ over HTTP.
func listedThroughASidecar() map[string]why {
	return map[string]why{
		"920100-2":  notHTTP,
		"920100-4":  upstream, // CONNECT, which has to be configured
		"920100-5":  upstream, // the same, 405 instead of 400
		"920100-11": notHTTP,
		"920100-12": notHTTP,
		"920100-13": notHTTP,
		"920100-14": stricter, // a method with a control character
		"920100-16": stricter, // a target in absolute form
		"920181-1":  stricter, // Content-Length and Transfer-Encoding
		"920290-4":  stricter, // an empty Host
		"920400-1":  body,
		"920430-5":  upstream,
		"920430-8":  upstream, // HTTP/3.0 in a request line
		"931131-1":  path,     // an encoded slash
		"934120-23": stricter, // bytes beyond ASCII in the target, here and below
		"934120-24": stricter,
		"934120-25": stricter,
		"934120-26": stricter,
		"934120-39": stricter,
	}
}

// aboutAnswers tells whether a case wants a rule to match that looks at answers, or
// reports.
func aboutAnswers(c ftw.Case) bool {
	for _, stage := range c.Stages {
		l := stage.Want.Log
		if slices.ContainsFunc(l.IDs, func(id int) bool { return id >= 950_000 }) || strings.HasPrefix(l.Match, "Outbound") {
			return true
		}
	}
	return false
}

// A tally counts the cases of a run and holds them against the list.
type tally struct {
	listed map[string]why
	passed int
	differ map[why]int
}

func newTally(listed map[string]why) *tally {
	return &tally{listed: maps.Clone(listed), differ: map[why]int{}}
}

// add judges a case by its problems.
func (y *tally) add(t *testing.T, c ftw.Case, problems []string) {
	t.Helper()
	reason, listed := y.listed[c.ID]
	if aboutAnswers(c) {
		reason, listed = answer, true
	}
	delete(y.listed, c.ID)
	switch {
	case len(problems) == 0 && listed:
		t.Errorf("%s is listed (%s) and comes out as the suite has it", c.ID, reason)
	case len(problems) == 0:
		y.passed++
	case listed:
		y.differ[reason]++
	default:
		t.Errorf("%s: %s", c.ID, strings.Join(problems, "; "))
	}
}

// end reports the counts, which can't be fewer than the suite has.
func (y *tally) end(t *testing.T) {
	t.Helper()
	for id := range y.listed {
		t.Errorf("%s is listed and not in the suite", id)
	}
	all, parts := y.passed, []string{}
	for _, w := range slices.Sorted(maps.Keys(y.differ)) {
		all += y.differ[w]
		parts = append(parts, fmt.Sprintf("%d %s", y.differ[w], w))
	}
	t.Attr("cases", strconv.Itoa(all))
	t.Attr("passed", strconv.Itoa(y.passed))
	t.Logf("%d cases: %d as the suite has them, %s", all, y.passed, strings.Join(parts, ", "))
	if all < everyCase {
		t.Errorf("%d cases were judged, want %d", all, everyCase)
	}
}
