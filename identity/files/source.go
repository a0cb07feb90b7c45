// Package files obtains this process's identity from PEM files that somebody
// else renews: a certificate agent on a virtual machine, a projected volume in
// Kubernetes, or a person.
//
// It reads the files again at an interval and takes them over only as a whole:
// a half-written file, or a key that does not match its certificate yet, leaves
// the identity as it was until the next look. It reads contents and not
// modification times, so that replaced symbolic links, network file systems and
// two changes within one tick of the file system's clock are all noticed.
package files

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
)

const (
	// defaultInterval is short beside the minutes by which SVIDs are renewed
	// before they expire, and costs three reads and a signature check.
	defaultInterval = 5 * time.Second
	// maxFile bounds each file, in bytes: the roots of every public web CA
	// together are a quarter of it.
	maxFile = 1 << 20
)

// Options names the files.
type Options struct {
	// SVID is the PEM file of the SVID, followed by its intermediates if
	// any; required.
	SVID string
	// Key is the PEM file of its private key: PKCS #8, SEC 1 or PKCS #1,
	// not encrypted; required. It may be the same file.
	Key string
	// Bundles maps a trust domain to the PEM file of its roots. The SVID's
	// own trust domain must be among them.
	Bundles map[string]string
	// Interval is how often the files are read; 0: every five seconds.
	Interval time.Duration
	// Now is the clock that validity is judged by; nil: time.Now.
	Now func() time.Time
	// Log receives changes of state; nil: nothing is logged.
	Log *slog.Logger
}

// A Source holds the identity that the files hold. It implements
// [identity.Source].
type Source struct {
	identity.Publisher

	svid, key string
	bundles   map[spiffeid.TrustDomain]string
	interval  time.Duration
	now       func() time.Time
	log       *slog.Logger

	mu    sync.Mutex // one reload at a time; guards taken
	taken [sha256.Size]byte
}

// New returns a source that has read the files once. Files that are missing or
// wrong are not an error of New: they may be mended, and the snapshot says what
// they lack. It fails if opts cannot be right.
func New(opts Options) (*Source, error) {
	bundles, err := parseDomains(opts.Bundles)
	if opts.SVID == "" {
		err = errors.Join(err, errors.New("identity files: svid: no file named"))
	}
	if opts.Key == "" {
		err = errors.Join(err, errors.New("identity files: key: no file named"))
	}
	if err != nil {
		return nil, err
	}
	s := &Source{
		svid:     opts.SVID,
		key:      opts.Key,
		bundles:  bundles,
		interval: opts.Interval,
		now:      opts.Now,
		log:      cmp.Or(opts.Log, slog.New(slog.DiscardHandler)),
	}
	if s.interval <= 0 {
		s.interval = defaultInterval
	}
	if s.now == nil {
		s.now = time.Now
	}
	_ = s.Reload() // the snapshot has it
	return s, nil
}

func parseDomains(files map[string]string) (map[spiffeid.TrustDomain]string, error) {
	if len(files) == 0 {
		return nil, errors.New("identity files: bundles: none named")
	}
	domains := make(map[spiffeid.TrustDomain]string, len(files))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		td, err := spiffeid.TrustDomainFromString(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("identity files: bundles[%q]: %w", name, err))
		case files[name] == "":
			errs = append(errs, fmt.Errorf("identity files: bundles[%q]: no file named", name))
		case domains[td] != "":
			errs = append(errs, fmt.Errorf("identity files: bundles[%q]: the trust domain %q is named twice", name, td))
		default:
			domains[td] = files[name]
		}
	}
	return domains, errors.Join(errs...)
}

// Run reads the files again at every interval until ctx ends; then it returns
// nil.
func (s *Source) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			_ = s.Reload() // the snapshot has it
		}
	}
}

// Reload reads the files now. If they hold a valid identity that is new, it
// becomes the current one; if they hold none, the error, which names the file,
// is returned and recorded in the snapshot.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.Current()
	c, err := s.read()
	if err == nil {
		err = s.take(c, before)
	}
	if err != nil && (before.Err == nil || before.Err.Error() != err.Error()) {
		s.Fail(err)
		s.log.Warn("identity files are not taken over", "err", err, "keeping", before.SVID != nil)
	}
	return err
}

// take publishes the identity in c, unless it is the current one already and
// nothing was wrong since.
func (s *Source) take(c contents, before *identity.Snapshot) error {
	svid, bundles, err := c.identity(s.now())
	if err != nil {
		return err
	}
	sum := c.sum()
	if sum == s.taken && before.Err == nil {
		return nil
	}
	s.taken = sum
	s.Publish(svid, bundles)
	s.log.Info("identity loaded", "id", svid.ID.String(), "not_after", svid.Certificates[0].NotAfter, "bundles", bundles.Len())
	return nil
}

func (s *Source) read() (contents, error) {
	var c contents
	var err error
	if c.svid, err = readFile("svid", s.svid); err != nil {
		return c, err
	}
	if c.key, err = readFile("key", s.key); err != nil {
		return c, err
	}
	for td, path := range s.bundles {
		f, err := readFile("bundle of "+td.Name(), path)
		if err != nil {
			return c, err
		}
		c.bundles = append(c.bundles, bundleFile{file: f, domain: td})
	}
	slices.SortStableFunc(c.bundles, func(a, b bundleFile) int { return a.domain.Compare(b.domain) })
	return c, nil
}

func readFile(role, path string) (file, error) {
	f := file{role: role, path: path}
	// A pipe would hold up the reader for as long as nobody writes.
	if info, err := os.Stat(path); err != nil {
		return f, f.wrong(err)
	} else if !info.Mode().IsRegular() {
		return f, f.wrong(errors.New("it is not a regular file"))
	}
	r, err := os.Open(path)
	if err != nil {
		return f, f.wrong(err)
	}
	defer r.Close()
	f.data, err = io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return f, f.wrong(err)
	case len(f.data) > maxFile:
		return f, f.wrong(fmt.Errorf("it has more than %d bytes", maxFile))
	}
	return f, nil
}

// sum tells contents apart; it does not let the key be read back.
func (c contents) sum() (out [sha256.Size]byte) {
	h := sha256.New()
	add := func(data []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
		h.Write(data)
	}
	add(c.svid.data)
	add(c.key.data)
	for _, b := range c.bundles {
		add([]byte(b.domain.Name()))
		add(b.data)
	}
	h.Sum(out[:0])
	return out
}
