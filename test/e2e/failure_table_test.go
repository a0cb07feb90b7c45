package e2e

import (
	"testing"
)

// TestFailureTable is the failure table of the design: when this, then that.
func TestFailureTable(t *testing.T) {
	t.Parallel()
	rows := []struct {
		when, then string
		run        func(*testing.T)
	}{
		{"no SVID yet", "not ready; refuse, never plaintext", noSVIDYet},
		{"SVID expired and no new one", "refuse new and close old connections; alarm metric well before", svidExpired},
		{"trust bundle loses a root", "close connections whose chain no longer verifies", rootLost},
		{"peer certificate expires", "connection ends gracefully at its NotAfter", peerExpires},
		{"policy source gone", "last good set, its age in a metric", policySourceGone},
		{"bad policy or rule set", "nack, keep the old, say why in status", badPolicy},
		{
			"WAF error or timeout or overload or body too large or unknown encoding",
			"per policy, Deny by default, counted by reason", wafFailures,
		},
		{"app not listening", "502 with reason connect; outlier ejection upstream", appDown},
		{"panic in a request", "that connection closes, counted; the process lives", panicInRequest},
		{"out of limits", "a definite status (431, 413, 503) or close, counted", outOfLimits},
		{
			"a port with L7 policy sees bytes that are not HTTP",
			"close, reason not_http; never falls to opaque", notHTTP,
		},
	}
	const least = 11 // as many as the design has
	if len(rows) < least {
		t.Errorf("%d rows, the failure table has %d", len(rows), least)
	}
	for _, row := range rows {
		t.Run(row.when, func(t *testing.T) {
			t.Parallel()
			t.Logf("when %s, then %s", row.when, row.then)
			row.run(t)
		})
	}
}
