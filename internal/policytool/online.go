package policytool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const (
	// askTimeout is for one answer of an administration port on this machine.
	askTimeout = 5 * time.Second
	// maxRecord, in bytes, bounds what is read of a record; the longest has some
	// 8 KiB.
	maxRecord = 64 << 10
	// maxDump, in bytes, bounds what is read of a sidecar's documents.
	maxDump = 64 << 20
)

// A DecisionRequest asks a running sidecar about something that it refused.
type DecisionRequest struct {
	// ID is the decision's, as the caller was told.
	ID string
	// Admin is the "host:port" of the sidecar's administration port.
	Admin string
	// Dial reaches it; nil means over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// JSON prints the record as it is.
	JSON bool
}

// decisionID is the form of an id.
var decisionID = regexp.MustCompile(`^[0-9a-v]{20}$`)

// IsDecisionID tells whether text has the form of a decision's id.
func IsDecisionID(text string) bool { return decisionID.MatchString(text) }

// ExplainDecision prints why something was refused, and, where that was an access
// policy's doing, what would allow it with the policies that the sidecar has by
// now.
func ExplainDecision(ctx context.Context, r DecisionRequest, out io.Writer) error {
	if !IsDecisionID(r.ID) {
		return fmt.Errorf("%q is not a decision id, which has 20 characters of 0-9 and a-v", r.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	port := adminPort{address: r.Admin, dial: r.Dial}
	text, err := port.ask(ctx, "/decisions/"+r.ID, maxRecord)
	if err != nil {
		return err
	}
	if r.JSON {
		_, err := out.Write(text)
		return err
	}
	d, err := parseDecision(text)
	if err != nil {
		return fmt.Errorf("the answer of %s: %w", r.Admin, err)
	}
	p := &printer{w: out}
	d.text(p)
	if d.Reason == "access_denied" && d.call != nil {
		d.remedy(ctx, p, port)
	}
	return p.err
}

// adminPort is where a sidecar is asked.
type adminPort struct {
	address string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// ask gets one document.
func (a adminPort) ask(ctx context.Context, path string, most int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("administration address %q: %w", a.address, err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil, DialContext: a.dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the sidecar: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the sidecar: %w", err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("ask the sidecar: the answer has more than %d bytes", most)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask the sidecar: %.200q", strings.TrimSpace(string(text)))
	}
	return text, nil
}

// decision is what is shown of a record.
type decision struct {
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	Direction string `json:"direction"`
	Listener  string `json:"listener"`
	Source    struct {
		Address string `json:"address"`
		ID      string `json:"id"`
	} `json:"source"`
	Destination struct {
		Address string `json:"address"`
		Service string `json:"service"`
	} `json:"destination"`
	Method   string `json:"method"`
	Path     string `json:"path"`
	Protocol string `json:"protocol"`
	Security string `json:"security"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	WAF      *struct {
		Outcome  string `json:"outcome"`
		Policy   string `json:"policy"`
		Score    int    `json:"score"`
		Rules    []int  `json:"rules"`
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"waf"`

	// call is nil where the record doesn't hold one for policies.
	call *observed.Call
}

func parseDecision(text []byte) (*decision, error) {
	d := new(decision)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return nil, err
	}
	var log observed.Log
	if err := log.Read("record", &line); err != nil {
		return nil, err
	}
	if len(log.Calls) == 1 {
		d.call = &log.Calls[0].Call
	}
	return d, nil
}

// text prints a record for people.
func (d *decision) text(p *printer) {
	show := func(name, format string, args ...any) {
		p.printf("  %-10s  "+format+"\n", append([]any{name}, args...)...)
	}
	p.printf("refused: %s\n\n", d.Reason)
	if d.Detail != "" {
		show("why", "%s", d.Detail)
	}
	what := "connection (" + d.Protocol + ")"
	if d.Kind == "request" {
		what = d.Method + " " + d.Path
	}
	to := d.Destination.Address
	if d.Destination.Service != "" {
		to = d.Destination.Service
	}
	show("call", "%s to %s, %s, listener %s", what, to, d.Direction, d.Listener)
	caller := d.Source.ID
	if caller == "" {
		caller = d.Security
	}
	show("caller", "%s from %s", caller, d.Source.Address)
	if w := d.WAF; w != nil {
		show("waf", "%s by %s, score %d, rules %v", w.Outcome, w.Policy, w.Score, w.Rules)
		if w.Message != "" {
			show("", "%s at %s", w.Message, w.Location)
		}
	}
	if d.Status != 0 {
		show("answer", "%d", d.Status)
	}
	show("time", "%s", d.Time)
}

// dump is what is read of a sidecar's configuration.
type dump struct {
	Identity struct {
		SPIFFEID string `json:"spiffeID"`
	} `json:"identity"`
	Sidecar struct {
		Metadata config.Metadata
	} `json:"sidecar"`
	Policies struct {
		Documents struct {
			Access     []authz.Policy
			Mesh       *config.MeshConfig
			Generation string
		} `json:"documents"`
	} `json:"policies"`
}

// remedy prints what would allow the call by the policies now in force. Headers
// are in no record, so rules that ask for them can't be told to match.
func (d *decision) remedy(ctx context.Context, p *printer, port adminPort) {
	text, err := port.ask(ctx, "/config_dump", maxDump)
	var now dump
	if err == nil {
		err = json.Unmarshal(text, &now)
	}
	if err != nil {
		p.printf("\nThe policies now in force can't be read: %v\n", err)
		return
	}
	opts, err := now.options(d.call)
	if err != nil {
		p.printf("\n%v\n", err)
		return
	}
	access, r := now.Policies.Documents.Access, d.call.Request()
	set, err := authz.Compile(access, opts)
	if err != nil {
		p.printf("\nThe policies now in force can't be compiled: %v\n", err)
		return
	}
	p.printf("\nBy the policies now in force (generation %s), without headers, which no record holds:\n", now.Policies.Documents.Generation)
	explanation := set.Explain(r)
	a := answer{outcome: outcomeOf(explanation, r)}
	a.reasons(p)
	if explanation.Decision.Allowed {
		p.printf("  it would be allowed\n")
		return
	}
	a.change, a.changes = advice.Smallest(access, opts, r)
	a.remedies(p)
}

func (d *dump) options(c *observed.Call) (authz.Options, error) {
	m := d.Sidecar.Metadata
	w := authz.Workload{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, TrustDomain: c.Workload.TrustDomain().Name()}
	documents := &config.Documents{Mesh: d.Policies.Documents.Mesh}
	if m.Name == "" {
		return authz.Options{}, errors.New("the sidecar does not say which workload it is, so its policies can't be asked again")
	}
	return options(documents, w), nil
}
