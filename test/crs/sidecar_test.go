package crs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// patience bounds an exchange. It decides only how late a failure is noticed.
const patience = time.Minute

// policies watch as those who write the suite run it.
func policies() string {
	return `apiVersion: outrider.dev/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec: {defaultAccess: AllowAll, mtls: Permissive}
---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: crs, namespace: shop}
spec:
  mode: Detect
  profile: crs
  paranoia: 4
  body: {inspectBytes: 131072}
  cpuMillis: ` + strconv.Itoa(cpuMillis) + `
  rules: |
    ` + asUpstream + "\n"
}

// startSidecar runs one in front of an application that takes everything.
func startSidecar(t *testing.T) *testkit.Sidecar {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(app.Close)
	return testkit.Start(t, testkit.Options{
		YAML: "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app.Listener.Addr().String() + "\", mtls: Permissive}]\n" +
			"  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
		Name: "payments", Source: identitytest.NewCA(t, "example.org").Source(t, "spiffe://example.org/ns/shop/sa/payments"),
		Policies: policies(),
	})
}

// exchange sends the nth request over a connection of its own, from an address of
// its own, by which its record is found: ports are used again. It returns the status,
// 0 where there was no answer.
func exchange(address string, n int, raw []byte) (status int, from string, err error) {
	local := &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}
	c, err := (&net.Dialer{LocalAddr: local, Timeout: patience}).Dial("tcp", address)
	if err != nil {
		return 0, "", fmt.Errorf("dial the sidecar: %w", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	from = c.LocalAddr().String()
	if _, err := c.Write(raw); err != nil {
		return 0, from, nil // refused while it was sent
	}
	if !complete(raw) {
		// The end tells. Elsewhere it would look like a client that has gone.
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return 0, from, nil // closed already
		}
	}
	method, _, _ := bytes.Cut(raw, []byte(" "))
	answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: string(method)})
	if err != nil {
		return 0, from, nil // closed without an answer
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, from, nil
}

// complete tells whether a request has all that it announces, as far as it can be told.
func complete(raw []byte) bool {
	if !bytes.Contains(raw, []byte("\r\n\r\n")) {
		return false
	}
	req, body := describe(raw)
	length, announced := req.Header.Get("Content-Length")
	n, err := strconv.Atoi(length)
	_, coded := req.Header.Get("Transfer-Encoding")
	return !coded && (!announced || err == nil && n == len(body))
}

// sent is what is known of a request before the log is read.
type sent struct {
	status int
	from   string
}

func TestSuiteThroughASidecar(t *testing.T) {
	listed := listedThroughASidecar()
	s, cases := startSidecar(t), suite(t, listed)
	var all []sent
	for _, c := range cases {
		for _, stage := range c.Stages {
			status, from, err := exchange(s.Address(t, "in"), len(all), stage.Raw)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sent{status, from})
			if len(all)%paced == 0 {
				catchUp(t, s, from)
			}
		}
	}
	s.Stop()
	<-s.Done()
	records := firstRecords(t, s)
	y := newTally(t, listed)
	for _, c := range cases {
		var d difference
		for n, stage := range c.Stages {
			if err := d.add(seenIn(records[all[n].from], all[n].status), stage.Want); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		}
		all = all[len(c.Stages):]
		y.add(t, c, d)
	}
	y.end(t, len(cases))
}

// paced is after how many requests verdicts are waited for. A sidecar that only watches
// holds nobody up, and keeps some hundreds of requests until it has looked at them.
const paced = 500

// catchUp waits until the sidecar has looked at what it was sent so far: verdicts are
// made in the order in which they are asked for, or nearly.
func catchUp(t *testing.T, s *testkit.Sidecar, from string) {
	t.Helper()
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		t.Fatal(err)
	}
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}, Timeout: patience}).Dial("tcp", s.Address(t, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /caught-up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
	own := c.LocalAddr().String()
	s.Log.Await(t, "a request that came behind the others", func(r map[string]any) bool {
		source, _ := r["source"].(map[string]any)
		return r["kind"] == "request" && source["address"] == own
	})
}

// firstRecords are the records by the caller's address; of several requests on a
// connection the one that began first counts, as records come when the verdict does,
// of a connection without one its own.
func firstRecords(t *testing.T, s *testkit.Sidecar) map[string]map[string]any {
	t.Helper()
	requests, connections := map[string]map[string]any{}, map[string]map[string]any{}
	for _, r := range s.Log.Records(t) {
		source, _ := r["source"].(map[string]any)
		from, _ := source["address"].(string)
		switch {
		case r["kind"] != "request":
			connections[from] = r
		case requests[from] == nil || began(t, r).Before(began(t, requests[from])):
			requests[from] = r
		}
	}
	for from, r := range connections {
		if requests[from] == nil {
			requests[from] = r
		}
	}
	return requests
}

// began is when the request of a record did.
func began(t *testing.T, r map[string]any) time.Time {
	t.Helper()
	text, _ := r["time"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// seenIn reads a verdict off a record, and why the sidecar refused the request.
func seenIn(record map[string]any, status int) seen {
	waf, _ := record["waf"].(map[string]any)
	s := seen{http: true, status: status, attack: waf["outcome"] == "detected"}
	s.refused, _ = record["reason"].(string)
	rules, _ := waf["rules"].([]any)
	for _, r := range rules {
		n, _ := r.(float64)
		s.rules = append(s.rules, int(n))
	}
	matches, _ := waf["matches"].([]any)
	for _, m := range matches {
		m, _ := m.(map[string]any)
		if l, ok := m["location"].(string); ok {
			s.locations = append(s.locations, l)
		}
	}
	return s
}
