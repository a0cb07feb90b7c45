package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
)

func TestOpaquePorts(t *testing.T) {
	s := Spec{Inbound: []Inbound{
		{Name: "http", Forward: "127.0.0.1:8080"},
		{Name: "database", Forward: "127.0.0.1:5432", Protocol: TCP},
		{Name: "cache", Forward: "127.0.0.1:6379", Protocol: TCP},
		{Name: "cache, as HTTP", Forward: "127.0.0.1:6379", Protocol: HTTP},
		{Name: "both, HTTP first", Forward: "127.0.0.1:9000", Protocol: Detect},
		{Name: "both", Forward: "127.0.0.1:9000", Protocol: TCP},
		{
			Name: "captured", Capture: true, Protocol: TCP,
			Ports: []CapturedPort{{Port: 25}, {Port: 80, Protocol: HTTP}, {Port: 3306, Protocol: TCP}},
		},
		{Name: "wrong", Forward: "nowhere", Protocol: TCP},
	}}
	if diff := cmp.Diff([]uint16{25, 3306, 5432}, s.OpaquePorts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := (&Spec{}).OpaquePorts(); len(got) > 0 {
		t.Errorf("without listeners: %v", got)
	}
}

func TestLintPortsNamesTheDocument(t *testing.T) {
	d := Documents{Access: []authz.Policy{{
		Metadata: authz.Metadata{Name: "p"},
		Spec:     authz.PolicySpec{Action: authz.Deny, Rules: []authz.Rule{{To: []authz.To{{Methods: []string{"PUT"}}}}}},
	}}}
	want := []string{"warning: AccessPolicy p: spec.rules[0].to[0]: denies connections to port 25 by its other fields alone: " +
		"it carries no HTTP; name the ports it is meant for (OUT108)"}
	var got []string
	for _, p := range d.LintPorts(authz.Workload{}, []uint16{25}) {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
