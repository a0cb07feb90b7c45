package accesslog_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func follower(t *testing.T, f *accesslog.Feed) *accesslog.Follower {
	t.Helper()
	one, ok := f.Follow()
	if !ok {
		t.Fatal("it can't be followed")
	}
	t.Cleanup(one.Close)
	return one
}

func next(t *testing.T, f *accesslog.Follower) (lines []string, lost int) {
	t.Helper()
	records, lost, err := f.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(records), "\n"), "\n"), lost
}

func TestAFollowerSeesWhatIsNotWrittenAndNoQuery(t *testing.T) {
	feed := accesslog.NewFeed(1, 64<<10)
	var out sink
	w := accesslog.New(accesslog.Options{Output: &out, Feed: feed, RefusalsOnly: true, Query: true})
	defer closed(t, w)
	w.Request(request("/before"))
	f := follower(t, feed)
	allowed := request("/allowed")
	allowed.Query = "token=secret"
	w.Request(allowed)
	refused := request("/refused")
	refused.Refusal.Reason, refused.Query = flow.AccessDenied, "token=secret"
	w.Request(refused)
	w.Connection(&flow.Connection{Protocol: flow.TCP})
	w.Connection(&flow.Connection{Protocol: flow.HTTP1}) // its requests have records

	lines, lost := next(t, f)
	if len(lines) != 3 || lost != 0 {
		t.Fatalf("%d lost, lines %q", lost, lines)
	}
	if !strings.Contains(lines[0], "/allowed") || !strings.Contains(lines[1], "/refused") || !strings.Contains(lines[2], `"kind":"connection"`) {
		t.Errorf("lines %q", lines)
	}
	if all := strings.Join(lines, ""); strings.Contains(all, "secret") || strings.Count(all, `"decision_id"`) != 3 {
		t.Errorf("queries, or no ids: %s", all)
	}
}

// The gap is where it was: behind what was kept, before what comes later.
func TestASlowFollowerLosesRecordsAndIsTold(t *testing.T) {
	length := len(line(t, "/a"))
	feed := accesslog.NewFeed(1, 3*length)
	w := accesslog.New(accesslog.Options{Feed: feed})
	f := follower(t, feed)
	for _, path := range []string{"/a", "/b", "/" + strings.Repeat("c", length), "/", "/d"} {
		w.Request(request(path)) // the last ones are shorter than the one that was lost first
	}
	if lines, lost := next(t, f); len(lines) != 2 || lost != 3 {
		t.Errorf("%d records and %d lost, want 2 and 3", len(lines), lost)
	}
	w.Request(request("/b"))
	if lines, lost := next(t, f); len(lines) != 1 || lost != 0 || !strings.Contains(lines[0], "/b") {
		t.Errorf("then %q and %d lost", lines, lost)
	}
}

func TestFollowersAreBoundedAndLeave(t *testing.T) {
	feed := accesslog.NewFeed(2, 1<<10)
	first, second := follower(t, feed), follower(t, feed)
	if _, ok := feed.Follow(); ok {
		t.Error("a third one follows")
	}
	first.Close()
	first.Close()
	third := follower(t, feed)
	w := accesslog.New(accesslog.Options{Feed: feed})
	w.Request(request("/a"))
	for _, f := range []*accesslog.Follower{second, third} {
		if lines, _ := next(t, f); len(lines) != 1 {
			t.Errorf("lines %q", lines)
		}
	}
}

func TestAFollowerWaitsUntilItIsToldNotTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := accesslog.NewFeed(1, 1<<10)
		f := follower(t, feed)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if records, lost, err := f.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || len(records)+lost > 0 {
			t.Errorf("Next = %q, %d, %v", records, lost, err)
		}
	})
}

// What was returned stays as it is while the next records are taken.
func TestRecordsOfAFollowerAreNotOverwritten(t *testing.T) {
	feed := accesslog.NewFeed(1, 64<<10)
	w := accesslog.New(accesslog.Options{Feed: feed})
	f := follower(t, feed)
	var before, copied []byte
	for i := range 10 {
		w.Request(request("/" + strings.Repeat("x", i)))
		records, _, err := f.Next(t.Context())
		if err != nil || !bytes.Equal(before, copied) {
			t.Fatalf("round %d: %v, %q became %q", i, err, copied, before)
		}
		before, copied = records, bytes.Clone(records)
	}
}
