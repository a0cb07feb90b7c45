package files_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const checkout = "spiffe://example.org/ns/shop/sa/checkout"

// A disk is a directory with the files of one identity.
type disk struct {
	dir string
	ca  *identitytest.CA
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{dir: t.TempDir(), ca: identitytest.NewCA(t, "example.org")}
	d.writeAll(t, d.issue(t, devca.IssueOptions{}))
	return d
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) options() files.Options {
	return files.Options{
		SVID:    d.path("svid.pem"),
		Key:     d.path("key.pem"),
		Bundles: map[string]string{"example.org": d.path("bundle.pem")},
	}
}

func (d *disk) issue(t *testing.T, opts devca.IssueOptions) *x509svid.SVID {
	t.Helper()
	svid, err := d.ca.Issue(identitytest.ID(t, checkout), opts)
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func (d *disk) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(d.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) writeAll(t *testing.T, svid *x509svid.SVID) {
	t.Helper()
	chain, key := marshal(t, svid)
	d.write(t, "svid.pem", chain)
	d.write(t, "key.pem", key)
	d.write(t, "bundle.pem", d.bundle(t))
}

func (d *disk) bundle(t *testing.T) []byte {
	t.Helper()
	data, err := d.ca.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func marshal(t *testing.T, svid *x509svid.SVID) (chain, key []byte) {
	t.Helper()
	chain, key, err := svid.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return chain, key
}

func open(t *testing.T, opts files.Options) *files.Source {
	t.Helper()
	s, err := files.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustReload(t *testing.T, s *files.Source) *identity.Snapshot {
	t.Helper()
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	return s.Current()
}

func serial(s *identity.Snapshot) string { return s.SVID.Certificates[0].SerialNumber.String() }

func TestAnIdentityIsLoaded(t *testing.T) {
	d := newDisk(t)
	for name, opts := range map[string]devca.IssueOptions{"a leaf": {}, "a leaf and its intermediate": {Intermediate: true}} {
		d.writeAll(t, d.issue(t, opts))
		snap := open(t, d.options()).Current()
		if !snap.Ready() || snap.Err != nil || snap.SVID.ID.String() != checkout {
			t.Errorf("%s: the snapshot is %+v", name, snap)
		}
	}
}

func TestTheFormsOfAKey(t *testing.T) {
	d := newDisk(t)
	svid := d.issue(t, devca.IssueOptions{})
	chain, pkcs8 := marshal(t, svid)
	der, err := x509.MarshalECPrivateKey(svid.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	d.write(t, "svid.pem", chain)
	for name, data := range map[string][]byte{
		"PKCS #8":                   pkcs8,
		"SEC 1":                     sec1,
		"SEC 1 with its parameters": append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}), sec1...),
		"text around it":            append([]byte("subject=checkout\n"), append(pkcs8, "\n# end\n"...)...),
	} {
		d.write(t, "key.pem", data)
		if snap := open(t, d.options()).Current(); snap.Err != nil {
			t.Errorf("%s: %v", name, snap.Err)
		}
	}
	d.write(t, "both.pem", append(pkcs8, chain...))
	opts := d.options()
	opts.SVID, opts.Key = d.path("both.pem"), d.path("both.pem")
	if snap := open(t, opts).Current(); snap.Err != nil {
		t.Errorf("key and certificate in one file: %v", snap.Err)
	}
}

func TestAReplacedIdentityIsTakenOverOnce(t *testing.T) {
	d := newDisk(t)
	s := open(t, d.options())
	first := s.Current()
	if again := mustReload(t, s); again != first {
		t.Error("files that did not change make a new snapshot")
	}
	d.writeAll(t, d.issue(t, devca.IssueOptions{}))
	second := mustReload(t, s)
	if second.Generation != first.Generation+1 || serial(second) == serial(first) {
		t.Errorf("generation %d after %d", second.Generation, first.Generation)
	}
	if err := d.ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	d.write(t, "bundle.pem", d.bundle(t))
	third := mustReload(t, s)
	if third.Generation != second.Generation+1 || serial(third) != serial(second) {
		t.Error("a new root in the bundle does not make a new snapshot of the same SVID")
	}
}

// Kubernetes replaces the files of a projected volume by swapping one symbolic
// link that all of them go through.
func TestASymbolicLinkIsSwapped(t *testing.T) {
	d := newDisk(t)
	volume := func(name string) {
		t.Helper()
		part := &disk{dir: d.path(name), ca: d.ca}
		if err := os.Mkdir(part.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		part.writeAll(t, d.issue(t, devca.IssueOptions{}))
		if err := os.Symlink(name, d.path("..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(d.path("..data_tmp"), d.path("..data")); err != nil {
			t.Fatal(err)
		}
	}
	volume("..1")
	for _, name := range []string{"svid.pem", "key.pem", "bundle.pem"} {
		if err := os.Remove(d.path(name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, d.options())
	first := s.Current()
	volume("..2")
	if second := mustReload(t, s); serial(second) == serial(first) {
		t.Error("the swap is not noticed")
	}
}

// badFiles damage a good disk; the error must name the file and say the words.
var badFiles = []struct {
	name, file, says string
	damage           func(t *testing.T, d *disk)
}{
	{"the SVID is missing", "svid.pem", "no such file", func(t *testing.T, d *disk) { remove(t, d, "svid.pem") }},
	{"the key is missing", "key.pem", "no such file", func(t *testing.T, d *disk) { remove(t, d, "key.pem") }},
	{"the bundle is missing", "bundle.pem", "no such file", func(t *testing.T, d *disk) { remove(t, d, "bundle.pem") }},
	{"the SVID is empty", "svid.pem", "no certificate", func(t *testing.T, d *disk) { d.write(t, "svid.pem", nil) }},
	{"the key is empty", "key.pem", "no private key", func(t *testing.T, d *disk) { d.write(t, "key.pem", nil) }},
	{"the bundle is empty", "bundle.pem", "no certificate", func(t *testing.T, d *disk) { d.write(t, "bundle.pem", nil) }},
	{"the SVID is half-written", "svid.pem", "1 PEM blocks begin and 0 are whole", func(t *testing.T, d *disk) { halve(t, d, "svid.pem") }},
	{"the key is half-written", "key.pem", "1 PEM blocks begin and 0 are whole", func(t *testing.T, d *disk) { halve(t, d, "key.pem") }},
	{"the bundle is half-written", "bundle.pem", "1 PEM blocks begin and 0 are whole", func(t *testing.T, d *disk) { halve(t, d, "bundle.pem") }},
	{"the intermediate is half-written", "svid.pem", "2 PEM blocks begin and 1 are whole", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{Intermediate: true}))
		data := read(t, d, "svid.pem")
		d.write(t, "svid.pem", data[:len(data)-40])
	}},
	{"the SVID was replaced and its key not yet", "key.pem", "the key is not that of the certificate", func(t *testing.T, d *disk) {
		chain, _ := marshal(t, d.issue(t, devca.IssueOptions{}))
		d.write(t, "svid.pem", chain)
	}},
	{"the key was replaced and its SVID not yet", "key.pem", "the key is not that of the certificate", func(t *testing.T, d *disk) {
		_, key := marshal(t, d.issue(t, devca.IssueOptions{}))
		d.write(t, "key.pem", key)
	}},
	{"there are two keys", "key.pem", "more than one private key", func(t *testing.T, d *disk) {
		d.write(t, "key.pem", append(read(t, d, "key.pem"), read(t, d, "key.pem")...))
	}},
	{"the key is encrypted", "key.pem", "encrypted", func(t *testing.T, d *disk) {
		d.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	}},
	{"the key is a certificate request", "key.pem", "CERTIFICATE REQUEST", func(t *testing.T, d *disk) {
		d.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{1}}))
	}},
	{"the certificate is no ASN.1", "svid.pem", "PEM block 1", func(t *testing.T, d *disk) {
		d.write(t, "svid.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("?")}))
	}},
	{"the bundle holds a private key", "bundle.pem", "PRIVATE KEY", func(t *testing.T, d *disk) {
		d.write(t, "bundle.pem", append(read(t, d, "bundle.pem"), read(t, d, "key.pem")...))
	}},
	{"the bundle holds a leaf", "bundle.pem", "is not a CA", func(t *testing.T, d *disk) {
		d.write(t, "bundle.pem", append(read(t, d, "bundle.pem"), read(t, d, "svid.pem")...))
	}},
	{"the SVID has two IDs", "svid.pem", "more than one URI SAN", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{ExtraURIs: []string{"spiffe://example.org/x"}}))
	}},
	{"the SVID has no ID", "svid.pem", "no URI SAN", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{NoURI: true}))
	}},
	{"the SVID is a CA", "svid.pem", "is a CA", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{Edit: func(c *x509.Certificate) { c.IsCA = true }}))
	}},
	{"the SVID has expired", "svid.pem", "not valid at this time", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}))
	}},
	{"the SVID is not valid yet", "svid.pem", "not valid at this time", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}))
	}},
	{"the bundle is another CA's", "svid.pem", "not trusted", func(t *testing.T, d *disk) {
		stranger := &disk{dir: d.dir, ca: identitytest.NewCA(t, "example.org")}
		d.write(t, "bundle.pem", stranger.bundle(t))
	}},
	{"the SVID is of a domain without a bundle", "svid.pem", "trust domain is unknown", func(t *testing.T, d *disk) {
		d.writeAll(t, d.issue(t, devca.IssueOptions{NoURI: true, ExtraURIs: []string{"spiffe://example.net/x"}}))
	}},
	{"the SVID is a directory", "svid.pem", "not a regular file", func(t *testing.T, d *disk) {
		remove(t, d, "svid.pem")
		if err := os.Mkdir(d.path("svid.pem"), 0o700); err != nil {
			t.Fatal(err)
		}
	}},
	{"the bundle is enormous", "bundle.pem", "more than 1048576 bytes", func(t *testing.T, d *disk) {
		d.write(t, "bundle.pem", make([]byte, 1<<20+1))
	}},
}

func remove(t *testing.T, d *disk, name string) {
	t.Helper()
	if err := os.Remove(d.path(name)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d *disk, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(d.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func halve(t *testing.T, d *disk, name string) {
	t.Helper()
	data := read(t, d, name)
	d.write(t, name, data[:len(data)/2])
}

// Whatever is wrong: the identity stays, the error names the file, and mended
// files are taken over.
func TestBrokenFilesKeepTheIdentityUntilTheyAreMended(t *testing.T) {
	count := 0
	for _, tc := range badFiles {
		t.Run(tc.name, func(t *testing.T) {
			count++
			d := newDisk(t)
			s := open(t, d.options())
			good := s.Current()
			tc.damage(t, d)
			err := s.Reload()
			if err == nil {
				t.Fatal("the files are taken over")
			}
			if text := err.Error(); !strings.Contains(text, d.path(tc.file)) || !strings.Contains(text, tc.says) {
				t.Errorf("the error does not name %s and %q: %v", tc.file, tc.says, err)
			}
			broken := s.Current()
			if broken.SVID != good.SVID || broken.Bundles != good.Bundles || broken.Err == nil {
				t.Errorf("the snapshot is %+v, want what it was and the error", broken)
			}
			_ = s.Reload()
			if s.Current() != broken {
				t.Error("the same failure again makes a new snapshot")
			}
			if fresh := open(t, d.options()).Current(); fresh.Ready() || fresh.Err == nil {
				t.Error("a new source is ready with these files")
			}

			os.RemoveAll(d.path("svid.pem"))
			d.writeAll(t, d.issue(t, devca.IssueOptions{}))
			if mended := mustReload(t, s); mended.Err != nil || serial(mended) == serial(good) {
				t.Errorf("the mended files are not taken over: %v", mended.Err)
			}
		})
	}
	if least := 25; count < least {
		t.Errorf("%d cases ran, want at least %d", count, least)
	}
}

func TestTheSameFilesAreTakenOverWhenTheyRecover(t *testing.T) {
	d := newDisk(t)
	s := open(t, d.options())
	chain := read(t, d, "svid.pem")
	remove(t, d, "svid.pem")
	if err := s.Reload(); err == nil {
		t.Fatal("a missing file is no error")
	}
	d.write(t, "svid.pem", chain)
	if snap := mustReload(t, s); snap.Err != nil {
		t.Errorf("the error stays: %v", snap.Err)
	}
}

func TestImpossibleOptionsAreAllNamed(t *testing.T) {
	_, err := files.New(files.Options{Bundles: map[string]string{
		"example.org":          "a",
		"spiffe://example.org": "b",
		"Example.net":          "c",
		"example.com":          "",
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"svid:", "key:", `bundles["spiffe://example.org"]`, `bundles["Example.net"]`, `bundles["example.com"]`} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in:\n%v", field, err)
		}
	}
	if _, err := files.New(files.Options{SVID: "a", Key: "b"}); err == nil {
		t.Error("no bundles: accepted")
	}
}

func TestRunNoticesChangesAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t) // an hour's SVID
		s := open(t, d.options())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()

		first := s.Current()
		d.writeAll(t, d.issue(t, devca.IssueOptions{}))
		<-first.Superseded()
		second := s.Current()
		if second.Err != nil || serial(second) == serial(first) {
			t.Errorf("the change is not taken over: %v", second.Err)
		}

		<-second.Superseded() // in an hour: nobody renews it
		if snap := s.Current(); snap.Err == nil || !strings.Contains(snap.Err.Error(), "not valid at this time") {
			t.Errorf("after an hour the source says %v", snap.Err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
}
