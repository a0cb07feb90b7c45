package telemetry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
)

func expiring(at int64) *x509.Certificate {
	return &x509.Certificate{Raw: fmt.Append(nil, at), NotAfter: time.Unix(at, 0)}
}

func bundle(domain string, roots ...*x509.Certificate) *x509bundle.Bundle {
	return x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString(domain), roots)
}

func TestIdentityFollowsTheSnapshots(t *testing.T) {
	m, _ := bare()
	var p identity.Publisher
	m.Identity(p.Current())
	exposed(t, m, "outrider_identity_generation 0\noutrider_identity_svid_expiry_timestamp_seconds 0",
		"outrider_identity_generation", "outrider_identity_svid_expiry_timestamp_seconds",
		"outrider_identity_bundle_expiry_timestamp_seconds")

	svid := &x509svid.SVID{Certificates: []*x509.Certificate{expiring(1000), expiring(9)}}
	p.Publish(svid, x509bundle.NewSet(bundle("a.test", expiring(2000), expiring(5000), expiring(3000)), bundle("b.test")))
	m.Identity(p.Current())
	exposed(t, m, `
outrider_identity_bundle_expiry_timestamp_seconds{trust_domain="a.test"} 5000
outrider_identity_bundle_expiry_timestamp_seconds{trust_domain="b.test"} 0
outrider_identity_generation 1
outrider_identity_svid_expiry_timestamp_seconds 1000
`, "outrider_identity_generation", "outrider_identity_svid_expiry_timestamp_seconds",
		"outrider_identity_bundle_expiry_timestamp_seconds")

	p.Publish(svid, x509bundle.NewSet(bundle("a.test", expiring(6000))))
	m.Identity(p.Current())
	exposed(t, m, `outrider_identity_bundle_expiry_timestamp_seconds{trust_domain="a.test"} 6000`,
		"outrider_identity_bundle_expiry_timestamp_seconds")

	p.Fail(errors.New("agent is gone"))
	m.Identity(p.Current())
	exposed(t, m, `
outrider_identity_generation 2
outrider_identity_svid_expiry_timestamp_seconds 1000
outrider_identity_update_errors_total 1
`, "outrider_identity_generation", "outrider_identity_svid_expiry_timestamp_seconds",
		"outrider_identity_update_errors_total")
}

func TestTrustDomainsAreCapped(t *testing.T) {
	m, _ := bare()
	var bundles []*x509bundle.Bundle
	for i := range maxTrustDomains + 10 {
		bundles = append(bundles, bundle(fmt.Sprintf("d%d.test", i), expiring(1)))
	}
	m.state.setBundles(bundles)
	if got := len(m.state.domains); got != maxTrustDomains {
		t.Errorf("%d trust domains, want %d", got, maxTrustDomains)
	}
}

func TestPolicyNamesOneGeneration(t *testing.T) {
	m, _ := bare()
	m.PolicyLoaded("files-1", time.Unix(100, 500e6))
	m.PolicyFailed()
	m.PolicyLoaded("files-2\xff", time.Unix(200, 0))
	exposed(t, m, `
outrider_policy_generation_info{generation="files-2`+"\uFFFD"+`"} 1
outrider_policy_last_success_timestamp_seconds 200
outrider_policy_load_errors_total 1
`, "outrider_policy_generation_info", "outrider_policy_last_success_timestamp_seconds",
		"outrider_policy_load_errors_total")
}

func TestReadyPanicsAndDroppedRecords(t *testing.T) {
	m, _ := bare()
	m.Ready(true)
	m.Panic()
	m.AccessLogDropped(3)
	exposed(t, m, "outrider_accesslog_dropped_total 3\noutrider_panics_total 1\noutrider_ready 1",
		"outrider_ready", "outrider_panics_total", "outrider_accesslog_dropped_total")
	m.Ready(false)
	exposed(t, m, "outrider_ready 0", "outrider_ready")
}
