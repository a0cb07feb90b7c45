package certs

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func names() []string {
	return []string{"outrider-injector.outrider-system.svc", "outrider-injector.outrider-system.svc.cluster.local"}
}

func step(t *testing.T, s state, now time.Time) state {
	t.Helper()
	s, err := s.step(names(), now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trusted tells whether an API server that has the bundle accepts the pair.
func trusted(p *pair, bundle []byte, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, name := range names() {
		_, err := p.leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Two years, looked at twice a day by a leader; and by replicas and API servers that
// are a round late, which must get on with each other in either direction.
func TestNobodyMeetsACertificateThatIsNotTrusted(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := step(t, state{}, now)
	first, before := s, s
	var renewals, most int
	for range 2 * 365 * 2 {
		now = now.Add(12 * time.Hour)
		before, s = s, step(t, s, now)
		if !bytes.Equal(before.current.certPEM, s.current.certPEM) {
			renewals++
		}
		most = max(most, len(s.authorities))
		for _, presented := range []*pair{before.current, s.current} {
			for _, bundle := range [][]byte{before.bundle(), s.bundle()} {
				if s.current == before.current && s.next == before.next && renewals > 0 {
					continue // as in the round before
				}
				if err := trusted(presented, bundle, now); err != nil {
					t.Fatalf("%v: %v", now, err)
				}
			}
		}
	}
	if renewals < 14 || renewals > 18 {
		t.Errorf("%d renewals in two years", renewals)
	}
	if most > 3 {
		t.Errorf("%d authorities at a time", most)
	}
	if trusted(first.current, s.bundle(), now) == nil {
		t.Error("an expired certificate is trusted")
	}
}

func TestStatesAreWrittenAndRead(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := step(t, state{}, now)
	s = step(t, s, now.Add(lifetime/2))
	if s.next == nil || len(s.authorities) != 2 {
		t.Fatalf("no next certificate after half a life: %+v", s)
	}
	read, err := decode(s.encode())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range s.encode() {
		if got := read.encode()[key]; !bytes.Equal(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if empty, err := decode(nil); err != nil || empty.current != nil || empty.next != nil {
		t.Errorf("nothing is read as %+v, %v", empty, err)
	}
}

func TestWhatIsUnusableIsReplaced(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	good := step(t, state{}, now)
	ripe := step(t, good, now.Add(lifetime/2))
	other, err := makePair([]string{"elsewhere.svc"}, now)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		s     state
		at    time.Duration
		keeps bool
	}{
		{"a good one stays", good, time.Hour, true},
		{"an expired one", good, lifetime + time.Hour, false},
		{"one of the future", good, -2 * time.Hour, false},
		{"one for another name", state{current: other, authorities: []*x509.Certificate{other.authority}}, time.Hour, false},
		{"one whose authority is lost", state{current: good.current}, time.Hour, false},
		{"one whose authority is another's", state{current: good.current, authorities: []*x509.Certificate{other.authority}}, time.Hour, false},
		{"one that has a successor which is not ripe", ripe, lifetime/2 + time.Minute, true},
		{"one that has a ripe successor", ripe, lifetime/2 + ripening, false},
		{"one that is broken and has a successor", state{next: ripe.next, authorities: ripe.authorities}, lifetime/2 + time.Minute, false},
	}
	if len(cases) < 9 {
		t.Fatal("cases are missing")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			at := now.Add(c.at)
			got := step(t, c.s, at)
			if kept := c.s.current != nil && got.current.leaf.Equal(c.s.current.leaf); kept != c.keeps {
				t.Errorf("it was kept: %v", kept)
			}
			if err := trusted(got.current, got.bundle(), at); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheAuthorityVouchesForNobodyElse(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	p, err := makePair(names(), now)
	if err != nil {
		t.Fatal(err)
	}
	a := p.authority
	if !a.IsCA || !a.MaxPathLenZero || !a.PermittedDNSDomainsCritical || strings.Join(a.PermittedDNSDomains, " ") != strings.Join(names(), " ") {
		t.Errorf("the authority may do more: %+v", a)
	}
	if bytes.Contains(bytes.Join([][]byte{p.certPEM, p.keyPEM}, nil), block("CERTIFICATE", a.Raw)) {
		t.Error("the authority is kept with the certificate")
	}
	if _, err := makePair(nil, now); err == nil {
		t.Error("a certificate without a name was made")
	}
}

func FuzzDecode(f *testing.F) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	p, err := makePair(names(), now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.certPEM, p.keyPEM, block("CERTIFICATE", p.authority.Raw))
	f.Add([]byte(nil), []byte("x"), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, cert, key, bundle []byte) {
		s, err := decode(map[string][]byte{certKey: cert, keyKey: key, bundleKey: bundle})
		if err != nil {
			return
		}
		if again, err := decode(s.encode()); err != nil || !bytes.Equal(again.bundle(), s.bundle()) {
			t.Errorf("what was read is written so that it can't be read: %v", err)
		}
	})
}
