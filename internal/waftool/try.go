package waftool

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/policytool"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// maxRequest bounds a file of one request: more than any policy inspects.
const maxRequest = 4 << 20

// A TestRequest says which requests to try, and with what.
type TestRequest struct {
	Files []string
	Stdin io.Reader
	// Policies is a directory of documents; empty tries one that says nothing.
	Policies string
	// Workload is whom the requests are for, Caller who makes them, as a SPIFFE ID.
	Workload authz.Workload
	Caller   string
	// Want is the outcome that every request must have; empty for any.
	Want string
}

// Test tries requests and prints the verdicts. It returns false if one is not the one
// that is wanted.
func Test(ctx context.Context, r TestRequest, out io.Writer) (ok bool, err error) {
	i, err := r.inspector(ctx)
	if err != nil {
		return false, err
	}
	defer i.Close()
	ok = true
	for _, name := range r.Files {
		raw, err := r.read(name)
		if err != nil {
			return false, err
		}
		v, err := judge(ctx, i, raw, r.Caller)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		ok = ok && (r.Want == "" || r.Want == v.Outcome.String())
		if err := printVerdict(out, name, &v); err != nil {
			return false, err
		}
	}
	return ok, nil
}

func (r *TestRequest) inspector(ctx context.Context) (*inspect.Inspector, error) {
	var policies []config.InspectionPolicy
	if r.Policies == "" {
		var plain config.InspectionPolicy
		plain.Metadata.Name = "default"
		policies = append(policies, plain)
	} else {
		d, err := policytool.Load(ctx, r.Policies)
		if err != nil {
			return nil, fmt.Errorf("policies: %w", err)
		}
		policies = d.Inspection
	}
	return inspect.New(policies, inspect.Options{Workload: r.Workload, Bounds: patient})
}

// patient are bounds for one request at a time, on a machine that may be busy.
func patient() inspect.Bounds { return inspect.Bounds{Wait: time.Minute, Budget: time.Minute} }

func (r *TestRequest) read(name string) ([]byte, error) {
	in := r.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err == nil && len(raw) > maxRequest {
		err = fmt.Errorf("%s: is longer than %d bytes", name, maxRequest)
	}
	return raw, err
}

// judge asks as a sidecar does.
func judge(ctx context.Context, i *inspect.Inspector, raw []byte, caller string) (flow.Inspection, error) {
	req, body, err := parse(raw, caller)
	if err != nil {
		return flow.Inspection{}, err
	}
	plan := i.Plan(req)
	first, complete := plan.First(body)
	return i.Inspect(ctx, req, plan, first, complete), nil
}

func printVerdict(out io.Writer, name string, v *flow.Inspection) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", name, v.Outcome)
	if v.Uninspected != flow.Inspected {
		fmt.Fprintf(&b, " (%s)", v.Uninspected)
	}
	if v.Outcome == flow.NotInspected && v.Refuse {
		b.WriteString(", refused")
	}
	if v.Policy != "" {
		fmt.Fprintf(&b, " by %s, score %d", v.Policy, v.Score)
	}
	b.WriteByte('\n')
	if v.Message != "" {
		fmt.Fprintf(&b, "  %s\n", v.Message)
	}
	for _, m := range v.Matches {
		fmt.Fprintf(&b, "  rule %d at %s", m.Rule, m.Location)
		if m.Decoded != "" {
			fmt.Fprintf(&b, " through %s", m.Decoded)
		}
		b.WriteByte('\n')
	}
	if v.Err != nil {
		fmt.Fprintf(&b, "  %v\n", v.Err)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
