package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// policy is a document whose only difference is its name.
func policy(name string) string {
	return fmt.Sprintf("apiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: %s}\n"+
		"spec: {action: Allow, rules: [{from: [{namespaces: [x]}]}]}\n", name)
}

// write replaces a file at once, as tests that count states need; the name in
// between is hidden.
func write(t *testing.T, path, text string) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(path), ".new")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test when the condition does not come about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		pause(t.Context(), 2*time.Millisecond)
	}
}

// A sink is what the sidecar does with documents.
type sink struct {
	mu      sync.Mutex
	applied []string // names of policies, one set each
	refuse  string   // refuses sets with a policy of that name
}

func (s *sink) apply(d *config.Documents) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, p := range d.Access {
		if p.Metadata.Name == s.refuse {
			return errors.New("rule set does not compile")
		}
		names = append(names, p.Metadata.Name)
	}
	s.applied = append(s.applied, strings.Join(names, " "))
	return nil
}

func (s *sink) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.applied) == 0 {
		return "nothing"
	}
	return s.applied[len(s.applied)-1]
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.applied)
}

// run runs something until the test ends, and waits for its end.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// intervals are the two ways to notice: by notice only, and by looking.
var intervals = map[string]time.Duration{"notice": time.Hour, "looking": 10 * time.Millisecond}

func start(t *testing.T, dir string, interval time.Duration) (*Directory, *sink) {
	t.Helper()
	s := &sink{}
	d := NewDirectory(Options{Dir: dir, Interval: interval, Apply: s.apply})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, d.Run)
	return d, s
}

func TestAChangeIsTakenAndAMistakeIsNot(t *testing.T) {
	for name, interval := range intervals {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "p.yaml")
			write(t, file, policy("one"))
			d, s := start(t, dir, interval)
			first := d.Status()
			if s.last() != "one" || first.Generation == "" || first.LoadedAt.IsZero() || first.Err != nil {
				t.Fatalf("applied %q, status %+v", s.last(), first)
			}

			write(t, file, policy("two"))
			eventually(t, "the change is applied", func() bool { return s.last() == "two" })
			eventually(t, "the status says so", func() bool { return d.Status().Generation != first.Generation })
			second := d.Status()

			write(t, file, policy("three")+"typo: true\n")
			eventually(t, "the mistake is noticed", func() bool { return d.Status().Err != nil })
			broken := d.Status()
			var invalid *config.Invalid
			if !errors.As(broken.Err, &invalid) || invalid.Problems[0].File != file {
				t.Errorf("error %v does not name the file", broken.Err)
			}
			if broken.Generation != second.Generation || broken.ErrAt.IsZero() || s.last() != "two" {
				t.Errorf("the last good set did not stay: %+v, applied %q", broken, s.last())
			}

			write(t, file, policy("three"))
			eventually(t, "the mended set is applied", func() bool { return s.last() == "three" })
			eventually(t, "the error is gone", func() bool { return d.Status().Err == nil })
			if s.count() != 3 {
				t.Errorf("applied %q", s.applied)
			}
		})
	}
}

func TestAMistakeTakenBackAppliesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.yaml"), policy("one"))
	d, s := start(t, dir, 10*time.Millisecond)
	write(t, filepath.Join(dir, "q.yaml"), "kind: Nonsense\n")
	eventually(t, "the mistake is noticed", func() bool { return d.Status().Err != nil })
	if err := os.Remove(filepath.Join(dir, "q.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the error is gone", func() bool { return d.Status().Err == nil })
	if s.count() != 1 {
		t.Errorf("applied %q", s.applied)
	}
}

func TestWhatTheSidecarRefusesIsNotInForce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, file, policy("one"))
	d, s := start(t, dir, 10*time.Millisecond)
	generation := d.Status().Generation
	s.mu.Lock()
	s.refuse = "bad"
	s.mu.Unlock()
	write(t, file, policy("bad"))
	eventually(t, "the refusal is noticed", func() bool { return d.Status().Err != nil })
	if st := d.Status(); st.Generation != generation || !strings.Contains(st.Err.Error(), "rule set does not compile") {
		t.Errorf("status %+v", st)
	}
	write(t, file, policy("two"))
	eventually(t, "the next set is applied", func() bool { return s.last() == "two" && d.Status().Err == nil })
}

func TestTheSourceGoneAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "p.yaml"), policy("one"))
	d, s := start(t, dir, 10*time.Millisecond)
	before := d.Status()
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is noticed", func() bool { return d.Status().Err != nil })
	gone := d.Status()
	if gone.Generation != before.Generation || !errors.Is(gone.Err, os.ErrNotExist) {
		t.Errorf("status %+v", gone)
	}
	// The age grows: it is counted from the last time all was well.
	later := time.Now().Add(time.Hour)
	if age := d.Status().Age(later); age < 59*time.Minute {
		t.Errorf("age %v after an hour", age)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "p.yaml"), policy("two"))
	eventually(t, "the new directory is read", func() bool { return s.last() == "two" && d.Status().Err == nil })
	for i, applied := range s.applied {
		// The directory is empty for a moment, which may be seen or not.
		if applied != []string{"one", "two"}[min(i, 1)] && applied != "" {
			t.Errorf("applied %q", s.applied)
		}
	}
}

func TestAnEmptiedDirectoryAllowsNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.yaml"), policy("one"))
	d, s := start(t, dir, 10*time.Millisecond)
	if err := os.Remove(filepath.Join(dir, "p.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the empty set is applied", func() bool { return s.last() == "" })
	eventually(t, "the status has no files", func() bool { return len(d.Status().Files) == 0 })
}

// configMap lays a directory out as the kubelet does: files are links through
// ..data, which is a link that one rename replaces.
type configMap struct {
	t       *testing.T
	dir     string
	version int
}

func (c *configMap) publish(files map[string]string) {
	c.t.Helper()
	c.version++
	actual := fmt.Sprintf("..version_%d", c.version)
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(c.dir, actual), 0o700))
	for name, text := range files {
		write(c.t, filepath.Join(c.dir, actual, name), text)
	}
	must(os.Symlink(actual, filepath.Join(c.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(c.dir, "..data_tmp"), filepath.Join(c.dir, "..data")))
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(c.dir, name)); !errors.Is(err, os.ErrExist) {
			must(err)
		}
	}
	if c.version > 1 {
		must(os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("..version_%d", c.version-1))))
	}
}

func TestAConfigMapIsSwappedAsAWhole(t *testing.T) {
	for name, interval := range intervals {
		t.Run(name, func(t *testing.T) {
			c := &configMap{t: t, dir: t.TempDir()}
			set := func(n string) map[string]string {
				return map[string]string{"a.yaml": policy("a" + n), "b.yaml": policy("b" + n)}
			}
			c.publish(set("0"))
			_, s := start(t, c.dir, interval)
			for i := range 5 {
				n := fmt.Sprint(i + 1)
				c.publish(set(n))
				eventually(t, "version "+n+" is applied", func() bool { return s.last() == "a"+n+" b"+n })
			}
			for _, applied := range s.applied {
				if a, b, _ := strings.Cut(applied, " "); a[1:] != b[1:] {
					t.Errorf("a mixed set was applied: %q", s.applied)
				}
			}
		})
	}
}

func TestNoLookMixesTwoStates(t *testing.T) {
	// The source changes between the first and the second read.
	states := []snapshot{{ignored: nil, files: []config.File{{Name: "half"}}}, {files: []config.File{{Name: "whole"}}}}
	reads := 0
	tr := tracker{read: func() snapshot {
		s := states[min(reads, 1)]
		reads++
		return s
	}}
	s, changed := tr.next(t.Context(), 0)
	if !changed || s.files[0].Name != "whole" || reads != 3 {
		t.Errorf("read %d times, got %v %v", reads, s.files, changed)
	}
	if _, changed := tr.next(t.Context(), 0); changed {
		t.Error("the same state is new again")
	}
}

func TestASourceThatNeverSettlesIsAnError(t *testing.T) {
	reads := 0
	tr := tracker{read: func() snapshot {
		reads++
		return snapshot{files: []config.File{{Name: fmt.Sprint(reads)}}}
	}}
	s, changed := tr.next(t.Context(), 0)
	if !changed || s.err == nil || reads != maxReads+1 {
		t.Errorf("read %d times, got %+v", reads, s)
	}
	if _, changed := tr.next(t.Context(), 0); changed {
		t.Error("the same error is new again")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, changed := tr.next(ctx, time.Hour); changed {
		t.Error("a cancelled look has a result")
	}
}

func TestWhichFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": policy("a"), "b.yml": policy("b"), "c.json": `{"apiVersion":"outrider.dev/v1alpha1","kind":"MeshConfig","spec":{}}`,
		"D.YAML": policy("d"), ".hidden.yaml": "nonsense", "notes.txt": "nonsense", "e.yaml.bak": "nonsense",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Mkdir(filepath.Join(dir, "below.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	d := NewDirectory(Options{Dir: dir, Apply: s.apply})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	if diff := cmp.Diff(at("D.YAML", "a.yaml", "b.yml", "c.json"), d.Status().Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"e.yaml.bak", "notes.txt"}, d.Status().Ignored); diff != "" {
		t.Error(diff)
	}
	if d.Status().Age(time.Now()) < 0 || (Status{}).Age(time.Now()) != 0 {
		t.Error("odd age")
	}
}

func TestWhatCannotBeReadRefusesTheWhole(t *testing.T) {
	cases := []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{"a directory that is not there", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, "list policy documents: open "},
		{"a link to nowhere", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink("nowhere", filepath.Join(dir, "x.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"a pipe", func(t *testing.T, dir string) {
			t.Helper()
			if err := syscall.Mkfifo(filepath.Join(dir, "x.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
		{"a link to a directory", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink(".", filepath.Join(dir, "x.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
		{"too many files", func(t *testing.T, dir string) {
			t.Helper()
			for i := range maxFiles + 1 {
				write(t, filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), "")
			}
		}, "holds 1002 documents, more than the 1000 allowed"},
		{"a file too large", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "x.yaml"), strings.Repeat("# long\n", 1<<18))
		}, "more than the 1048576 allowed"},
		{"files too large together", func(t *testing.T, dir string) {
			t.Helper()
			for i := range 17 {
				write(t, filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), "#"+strings.Repeat("x", 1<<20-1))
			}
		}, "holds more than the 16777216 bytes allowed"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "policies")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "good.yaml"), policy("good"))
			tt.make(t, dir)
			s := &sink{}
			d := NewDirectory(Options{Dir: dir, Apply: s.apply})
			err := d.Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if again := d.Load(t.Context()); again == nil {
				t.Error("the second load forgets the error")
			}
			if s.count() != 0 || d.Status().Generation != "" {
				t.Errorf("applied %q", s.applied)
			}
		})
	}
}

func TestRunLogsEachStateOnce(t *testing.T) {
	dir := t.TempDir()
	var buf syncBuffer
	s := &sink{}
	var refused atomic.Int32
	count := func(error) { refused.Add(1) }
	d := NewDirectory(Options{Dir: dir, Interval: 5 * time.Millisecond, Apply: s.apply, Refused: count, Log: slog.New(slog.NewTextHandler(&buf, nil))})
	run(t, d.Run)
	eventually(t, "the empty directory is logged", func() bool { return strings.Contains(buf.String(), "holds no documents") })
	write(t, filepath.Join(dir, "p.yaml"), "kind: Nonsense\n")
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(buf.String(), "documents refused") })
	seen := d.Status().ErrAt
	// Ten more looks at the same mistake say nothing new.
	for range 10 {
		d.check(t.Context(), 0)
	}
	if n := strings.Count(buf.String(), "documents refused"); n != 1 || d.Status().ErrAt != seen {
		t.Errorf("the refusal was logged %d times", n)
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("the refusal was told %d times", n)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestFileNoticesChanges(t *testing.T) {
	for name, interval := range intervals {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sidecar.yaml")
			write(t, path, "one")
			changed := make(chan string, 10)
			var log syncBuffer
			f := NewFile(FileOptions{Path: path, Interval: interval, Log: slog.New(slog.NewTextHandler(&log, nil)), Changed: func() {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				}
				changed <- string(data)
			}})
			// Between construction and Run no change is lost.
			write(t, path, "two")
			run(t, f.Run)
			expect(t, changed, "two")
			write(t, path, "three")
			expect(t, changed, "three")
			// Losing it and finding it again as it was are no changes.
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the loss is logged", func() bool { return strings.Contains(log.String(), "can't be read") })
			write(t, path, "three")
			eventually(t, "it is found again", func() bool { return strings.Contains(log.String(), "can be read again") })
			write(t, path, "four")
			expect(t, changed, "four")
			if len(changed) > 0 {
				t.Errorf("one change more: %q", <-changed)
			}
		})
	}
}

func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case s := <-got:
		if s != want {
			t.Fatalf("changed to %q, want %q", s, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no change to %q", want)
	}
}
