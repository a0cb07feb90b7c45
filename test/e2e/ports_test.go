package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// scrape returns the exposition of a sidecar's metrics.
func scrape(t testing.TB, s *testkit.Sidecar) string {
	t.Helper()
	_, text := httpGet(t, "http://"+s.MetricsAddress()+"/metrics")
	return text
}

// httpGet asks one of the sidecar's own ports.
func httpGet(t testing.TB, url string) (status int, body string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// metric adds up the series of a metric whose labels contain all of these.
func metric(t testing.TB, s *testkit.Sidecar, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(scrape(t, s)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || series != name && !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// counted waits until a metric has reached least; records and counts are made
// after the answer.
func counted(t testing.TB, s *testkit.Sidecar, least float64, name string, labels ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%s%v >= %v", name, labels, least), func() bool {
		return metric(t, s, name, labels...) >= least
	})
}

// ready asks the health port, which names what is missing.
func ready(t testing.TB, s *testkit.Sidecar) (ok bool, missing string) {
	t.Helper()
	status, body := httpGet(t, "http://"+s.HealthAddress()+"/healthz/ready")
	return status == http.StatusOK, body
}

// field walks a decoded record.
func field(r map[string]any, path ...string) any {
	var v any = r
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}
