package crs

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// asUpstream is what the suite is run with by those who write it: every level, and
// limits that its cases break.
const asUpstream = `SecAction "id:1,phase:1,pass,nolog,t:none,` +
	`setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,` +
	`setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,` +
	`setvar:tx.combined_file_sizes=65535"`

// describe makes of a request what a sidecar knows of it, and its body.
func describe(raw []byte) (*flow.Request, []byte) {
	text, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := strings.Split(string(text), "\r\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	target, proto := rest, ""
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		target, proto = rest[:i], rest[i+1:]
	}
	var h flow.Fields
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		h = append(h, [2]string{name, strings.Trim(value, " \t")})
	}
	path, query, _ := strings.Cut(target, "?")
	req := &flow.Request{
		Conn: &flow.Connection{
			Remote:      netip.MustParseAddrPort("127.0.0.1:41000"),
			Destination: netip.MustParseAddrPort("127.0.0.1:80"),
		},
		Method: method, Target: target, Path: path, Query: query, Proto: proto, Header: h,
	}
	req.Host, _ = h.Get("Host")
	if coding, _ := h.Get("Transfer-Encoding"); strings.EqualFold(coding, "chunked") {
		body = unchunk(body)
	}
	return req, body
}

// unchunk is lenient: what is not chunked stays as it is.
func unchunk(b []byte) []byte {
	var out []byte
	for rest := b; ; {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		n, err := strconv.ParseUint(string(line), 16, 31)
		switch {
		case !ok || err != nil || n > uint64(len(after)):
			return b
		case n == 0:
			return out
		}
		out = append(out, after[:n]...)
		rest = bytes.TrimPrefix(after[n:], []byte("\r\n"))
	}
}

// cpuMillis is the most that can be set: one case has a field of 64 KB, which takes the
// rules most of the default's second, and on a slow machine more.
const cpuMillis = 10_000

// newInspector makes one that watches, as those who write the suite run it.
func newInspector(t *testing.T) *inspect.Inspector {
	t.Helper()
	policy := config.InspectionPolicy{Spec: config.InspectionSpec{
		Mode: config.DetectOnly, Profile: config.ProfileCRS, Paranoia: 4, Rules: asUpstream,
		Body: config.InspectionBody{InspectBytes: 128 << 10}, CPUMillis: cpuMillis,
	}}
	policy.Metadata.Namespace, policy.Metadata.Name = "shop", "crs"
	i, err := inspect.New([]config.InspectionPolicy{policy}, inspect.Options{
		Workload: authz.Workload{Namespace: "shop"},
		Bounds:   func() inspect.Bounds { return inspect.Bounds{Wait: patience, Budget: patience} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func TestSuiteInProcess(t *testing.T) {
	listed := listedInProcess()
	i, y := newInspector(t), newTally(t, listed)
	cases := suite(t, listed)
	for _, c := range cases {
		var d difference
		for _, stage := range c.Stages {
			if err := d.add(inspectRaw(t, i, stage.Raw), stage.Want); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		}
		y.add(t, c, d)
	}
	y.end(t, len(cases))
}

func inspectRaw(t *testing.T, i *inspect.Inspector, raw []byte) seen {
	t.Helper()
	req, body := describe(raw)
	plan := i.Plan(req)
	first, complete := plan.First(body)
	v := i.Inspect(t.Context(), req, plan, first, complete)
	if v.Outcome == flow.NotInspected {
		t.Errorf("%.60q was not inspected: %s, %v", raw, v.Uninspected, v.Err)
	}
	s := seen{attack: v.Outcome == flow.Detected, rules: v.Rules}
	for _, m := range v.Matches {
		s.locations = append(s.locations, m.Location)
	}
	return s
}
