package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

var ids = cmp.Comparer(func(a, b spiffeid.ID) bool { return a == b })

func owner() Owner {
	return Owner{
		Workload:     spiffeid.RequireFromString("spiffe://example.org/ns/shop/sa/payments"),
		ControlPlane: spiffeid.RequireFromString("spiffe://example.org/ns/outrider-system/sa/outrider-injector"),
	}
}

func content() Content {
	return Content{Owner: owner(), Saved: time.Unix(1_700_000_000, 0).UTC(), Resources: []Resource{
		{"AccessPolicy/shop/a", "v1", []byte("kind: AccessPolicy\n")},
		{"AccessPolicy/shop/empty", "v2", []byte{}},
		{"AccessPolicy/shop/raw", "v3", []byte("\x00\n\xff")},
	}}
}

func saved(t *testing.T) (Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cache")
	if err := At(path).Save(Documents, content()); err != nil {
		t.Fatal(err)
	}
	return At(path), filepath.Join(path, Documents)
}

func TestWhatWasKeptIsReadAgain(t *testing.T) {
	d, path := saved(t)
	for range 2 {
		got, err := d.Load(Documents, owner())
		if diff := cmp.Diff(content(), got, ids); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if err := d.Save(Documents, content()); err != nil { // in place of the one before
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestWhatIsLeftOfOneThatWasKilledIsReplaced(t *testing.T) {
	d, path := saved(t)
	if err := os.WriteFile(path+".next", []byte("half"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(Documents, content()); err != nil {
		t.Error(err)
	}
	if _, err := d.Load(Documents, owner()); err != nil {
		t.Error(err)
	}
}

func TestNothingIsKeptNowhere(t *testing.T) {
	if err := (Dir{}).Save(Documents, content()); err != nil {
		t.Error(err)
	}
	for _, d := range []Dir{{}, At(t.TempDir()), At(filepath.Join(t.TempDir(), "none"))} {
		if _, err := d.Load(Documents, owner()); !errors.Is(err, ErrNone) {
			t.Error(err)
		}
	}
}

func TestWhatCannotBeKeptLeavesWhatWas(t *testing.T) {
	d, _ := saved(t)
	c := content()
	c.Resources[0].Body = make([]byte, maxBytes)
	if err := d.Save(Documents, c); err == nil {
		t.Error("there is no bound")
	}
	if _, err := d.Load(Documents, owner()); err != nil {
		t.Error(err)
	}
}

func TestACacheThatIsNotUsed(t *testing.T) {
	text, err := content().encode()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(from, to string) func(string) error {
		return func(path string) error {
			return os.WriteFile(path, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600)
		}
	}
	rest := func(head string) func(string) error {
		return func(path string) error {
			return os.WriteFile(path, []byte(magic+checksum([]byte(head))+"\n"+head), 0o600)
		}
	}
	const who = `"workload":"spiffe://example.org/ns/shop/sa/payments","controlPlane":"spiffe://example.org/ns/outrider-system/sa/outrider-injector","saved":"2026-01-01T00:00:00Z"`
	cases := []struct {
		name, says string
		spoil      func(path string) error
	}{
		{"empty", "no cache", func(path string) error { return os.Truncate(path, 0) }},
		{"cut off", "damaged", func(path string) error { return os.Truncate(path, int64(len(text)-1)) }},
		{"one byte changed", "damaged", replace("kind", "sind")},
		{"of a later version", "no cache", replace("cache/1", "cache/2")},
		{"of another checksum", "damaged", func(path string) error {
			other := bytes.Clone(text)
			other[len(magic)] ^= 1
			return os.WriteFile(path, other, 0o600)
		}},
		{"writable by others", "others may write", func(path string) error { return os.Chmod(path, 0o622) }},
		{"a link", "too many levels", func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		}},
		{"a directory", "not a regular file", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }},
		{"too large", "more than", func(path string) error { return os.Truncate(path, maxBytes+1) }},
		{"without a head", "head", rest("\n")},
		{"with two heads", "something follows", rest("{" + who + `}{}` + "\n")},
		{"with an unknown field", "unknown field", rest("{" + who + `,"allow":true}` + "\n")},
		{"of nobody", "its workload", rest(`{"resources":[]}` + "\n")},
		{"a name twice", "of its own", rest("{" + who + `,"resources":[{"name":"a","version":"1"},{"name":"a","version":"2"}]}` + "\n")},
		{"no version", "of its own", rest("{" + who + `,"resources":[{"name":"a"}]}` + "\n")},
		{"more than there is", "bytes of 0", rest("{" + who + `,"resources":[{"name":"a","version":"1","bytes":1}]}` + "\n")},
		{"less than nothing", "bytes of 0", rest("{" + who + `,"resources":[{"name":"a","version":"1","bytes":-1}]}` + "\n")},
		{"more than it says", "belong to nothing", rest("{" + who + `,"resources":[]}` + "\nx")},
	}
	if len(cases) < 18 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, path := saved(t)
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Load(Documents, owner()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v; want %q", got, err, c.says)
			}
		})
	}
}

func TestACacheOfSomebodyElseIsNotUsed(t *testing.T) {
	d, _ := saved(t)
	other := spiffeid.RequireFromString("spiffe://example.org/ns/shop/sa/intruder")
	for says, o := range map[string]Owner{
		"another workload":      {Workload: other, ControlPlane: owner().ControlPlane},
		"another control plane": {Workload: owner().Workload, ControlPlane: other},
	} {
		if got, err := d.Load(Documents, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v, %v; want %q", got, err, says)
		}
	}
}

func TestACacheOfAnotherUserIsNotUsed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	d, path := saved(t)
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Load(Documents, owner()); err == nil || !strings.Contains(err.Error(), "belongs to the user 65534") {
		t.Errorf("%+v, %v", got, err)
	}
}

// What is read is read again as it is written.
func FuzzDecode(f *testing.F) {
	text, err := content().encode()
	if err != nil {
		f.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	f.Add(rest)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		c, err := decode(append([]byte(magic+checksum(rest)+"\n"), rest...))
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		same, err := decode(again)
		if diff := cmp.Diff(c.Resources, same.Resources); err != nil || diff != "" || same.Owner != c.Owner {
			t.Fatal(err, diff)
		}
	})
}
