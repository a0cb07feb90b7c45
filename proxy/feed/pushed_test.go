package feed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/ads"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/feed/cache"
)

// set is documents of these texts, by name.
func set(texts ...string) ads.Set {
	s := ads.Set{}
	for i := 0; i < len(texts); i += 2 {
		s[texts[i]] = ads.Resource{Version: push.Version([]byte(texts[i+1])), Body: []byte(texts[i+1])}
	}
	return s
}

// me adds the workload itself.
func me(s ads.Set, w push.Workload) ads.Set {
	s[w.WorkloadName()] = ads.Resource{Version: push.Version(w.Encode()), Body: w.Encode()}
	return s
}

var self = push.Node{Namespace: "shop", Name: "payments-0"}

// A receiver is what the sidecar does with what is pushed.
type receiver struct {
	*Pushed

	applied []string // names of policies, one set each
	labels  map[string]string
	refuse  bool
	refused int
	dir     string
}

func newReceiver(t *testing.T, dir string, bend ...func(*PushedOptions)) *receiver {
	t.Helper()
	r := &receiver{dir: dir}
	o := PushedOptions{
		Node: self, Cache: cache.At(dir),
		Owner: cache.Owner{
			Workload:     spiffeid.RequireFromString("spiffe://example.org/ns/shop/sa/payments"),
			ControlPlane: spiffeid.RequireFromString("spiffe://example.org/ns/outrider-system/sa/outrider-injector"),
		},
		Apply: func(d *config.Documents, w *push.Workload) error {
			if r.refuse {
				return errors.New("it does not compile")
			}
			var names []string
			for _, p := range d.Access {
				names = append(names, p.Metadata.Name)
			}
			r.applied = append(r.applied, strings.Join(names, " "))
			if w != nil {
				r.labels = w.Labels
			}
			return nil
		},
		Refused: func(error) { r.refused++ },
	}
	for _, b := range bend {
		b(&o)
	}
	r.Pushed = NewPushed(o)
	return r
}

func (r *receiver) want(t *testing.T, applied ...string) {
	t.Helper()
	if diff := cmp.Diff(applied, r.applied); diff != "" {
		t.Error(diff)
	}
}

func TestAPushedSetIsInForceAsAWholeOrNotAtAll(t *testing.T) {
	r := newReceiver(t, t.TempDir())
	take := func(s ads.Set, ok bool) {
		t.Helper()
		if err := r.Documents(s); (err == nil) != ok {
			t.Error(err)
		}
	}
	take(set("AccessPolicy/shop/a", policy("a"), "AccessPolicy/shop/b", policy("b")), true)
	generation := r.Status().Generation
	take(set("AccessPolicy/shop/a", policy("c"), "AccessPolicy/shop/b", "action: Allow"), false)
	r.refuse = true
	take(set("AccessPolicy/shop/a", policy("d")), false)
	if s := r.Status(); s.Err == nil || s.Generation != generation || r.refused != 2 || len(s.Files) != 2 {
		t.Errorf("%+v, %d refused", s, r.refused)
	}
	r.refuse = false
	take(set("AccessPolicy/shop/a", policy("a"), "AccessPolicy/shop/b", policy("b")), true) // as it is
	if s := r.Status(); s.Err != nil || s.Generation != generation {
		t.Errorf("%+v", s)
	}
	take(set(), true)
	r.want(t, "a b", "")
}

func TestLabelsComeFromTheControlPlane(t *testing.T) {
	r := newReceiver(t, "")
	w := push.Workload{Namespace: "shop", Name: "payments-0", Labels: map[string]string{"app": "payments"}}
	if err := r.Documents(me(set(), w)); err != nil || r.labels["app"] != "payments" {
		t.Error(err, r.labels)
	}
	w.Labels = map[string]string{"app": "ledger"}
	if err := r.Documents(me(set(), w)); err != nil || r.labels["app"] != "ledger" {
		t.Error(err, r.labels)
	}
	r.want(t, "", "")
	for _, other := range []push.Workload{{Namespace: "shop", Name: "payments-1"}, {Namespace: "bank", Name: "payments-0"}} {
		if err := r.Documents(me(set(), other)); err == nil || !strings.Contains(err.Error(), "is about") {
			t.Errorf("%v: %v", other, err)
		}
	}
	renamed := set()
	renamed["Workload/shop/payments-1"] = ads.Resource{Version: "1", Body: w.Encode()}
	if err := r.Documents(renamed); err == nil {
		t.Error("a workload by another name is taken")
	}
	renamed = set("Workload/shop/payments-0", "{}")
	if err := r.Documents(renamed); err == nil {
		t.Error("a workload without a name is taken")
	}
}

func TestASetOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	before := newReceiver(t, dir)
	if _, _, err := before.Kept(); !errors.Is(err, cache.ErrNone) {
		t.Error(err)
	}
	w := push.Workload{Namespace: "shop", Name: "payments-0", Labels: map[string]string{"app": "payments"}}
	sent := me(set("AccessPolicy/shop/a", policy("a")), w)
	if err := before.Documents(sent); err != nil {
		t.Fatal(err)
	}
	before.refuse = true
	if before.Documents(set("AccessPolicy/shop/a", policy("b"))) == nil {
		t.Error("it was not refused")
	}

	after := newReceiver(t, dir)
	kept, saved, err := after.Kept()
	if diff := cmp.Diff(sent, kept); err != nil || diff != "" || time.Since(saved) > time.Hour {
		t.Error(err, diff, saved)
	}
	if err := after.Restore(kept, saved); err != nil || !after.Cached() || after.labels["app"] != "payments" {
		t.Error(err, after.Cached())
	}
	if s := after.Status(); !s.ConfirmedAt.Equal(saved) || s.Generation != before.Status().Generation {
		t.Errorf("%+v", s)
	}
	after.Connected(true)
	if !after.Cached() || !after.Status().ConfirmedAt.Equal(saved) {
		t.Error("a connection confirms nothing")
	}
	if err := after.Documents(kept); err != nil || after.Cached() {
		t.Error(err, after.Cached())
	}
	after.want(t, "a") // it was not put into force again
	if err := after.Restore(kept, saved); !errors.Is(err, errLate) {
		t.Error(err)
	}
}

func TestASetOfTheCacheThatIsOfNoUseIsNotInForce(t *testing.T) {
	r := newReceiver(t, "")
	r.refuse = true
	if err := r.Restore(set("AccessPolicy/shop/a", policy("a")), time.Now()); err == nil || r.Cached() || r.Status().Generation != "" {
		t.Error(err, r.Status())
	}
	r.refuse = false
	if err := r.Documents(set("AccessPolicy/shop/a", policy("a"))); err != nil {
		t.Error(err)
	}
}

func TestASidecarThatCannotKeepASetWorks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, filepath.Join(file, "below"))
	if err := r.Documents(set("AccessPolicy/shop/a", policy("a"))); err != nil {
		t.Error(err)
	}
	r.want(t, "a")
}

func TestTheAgeGrowsWhileTheControlPlaneIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, "")
		age := func() time.Duration { return r.Status().Age(time.Now()) }
		pass := func() { time.Sleep(time.Hour) } //nolint:forbidigo // of a synctest bubble, where it takes no time
		if pass(); age() != 0 {
			t.Errorf("nothing is %v old", age())
		}
		r.Connected(true)
		if err := r.Documents(set("AccessPolicy/shop/a", policy("a"))); err != nil {
			t.Fatal(err)
		}
		if pass(); age() != 0 {
			t.Errorf("connected, and %v old", age())
		}
		r.refuse = true
		_ = r.Documents(set())
		if pass(); age() != time.Hour {
			t.Errorf("an hour after a refusal %v old", age())
		}
		r.refuse = false
		if err := r.Documents(set()); err != nil {
			t.Fatal(err)
		}
		r.Connected(false)
		r.Connected(false)
		if pass(); age() != time.Hour {
			t.Errorf("alone for an hour, and %v old", age())
		}
	})
}
