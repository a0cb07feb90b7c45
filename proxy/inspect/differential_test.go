package inspect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// corpusVariable names a directory of labelled requests (*.white, *.black), which is
// not part of the repository.
const corpusVariable = "OUTRIDER_TEST_CORPUS"

// agreement counts what became of samples.
type agreement struct {
	// proved clean by the gate, of all.
	proved, all int
	// clean by the engine, if it was asked about every one.
	clean    int
	everyone bool
}

func (a agreement) String() string {
	if a.everyone {
		return fmt.Sprintf("%d of %d requests are proved clean, of %d that are", a.proved, a.all, a.clean)
	}
	return fmt.Sprintf("%d of %d requests are proved clean", a.proved, a.all)
}

// agree asks the gate and, where it says clean, the engine without it. The opposite
// is no mistake: what is not proved goes to the engine.
func agree(t testing.TB, i *Inspector, s sample, sum *agreement) {
	t.Helper()
	plan := i.Plan(s.req)
	first, complete := plan.First([]byte(s.body))
	in, _, done := plan.input(plan.rule, first, complete)
	if done || in.packed != nil {
		return
	}
	in.now, in.checkpoint = testNow, func() error { return nil }
	e := rulesOf(plan.rule.policy.engine)
	if e == nil || e.gate == nil {
		t.Fatalf("there is no gate: %+v", e)
	}
	proved := e.clean(s.req, in)
	sum.all++
	if proved {
		sum.proved++
	} else if !sum.everyone {
		return
	}
	f, err := e.evaluate(s.req, in)
	if err == nil && !f.attack && f.score == 0 {
		sum.clean++
		return
	}
	if proved {
		t.Errorf("%s: proved clean, and the engine says %+v, %v: %s %s %q %q", s.name, f, err, s.req.Method, s.req.Target, s.req.Header, s.body)
	}
}

func inspectors(t testing.TB) map[string]*Inspector {
	return map[string]*Inspector{
		"mesh": mesh(t), "crs": stock(t),
		"paranoia 4": sharedInspector(t, "paranoia", config.InspectionSpec{Profile: config.ProfileCRS, Paranoia: 4}),
	}
}

func TestGateAgreesOnTheRuleSetsTests(t *testing.T) {
	samples := ruleSetSamples(t)
	if len(samples) < 4600 {
		t.Errorf("only %d requests", len(samples))
	}
	least := map[string]int{"mesh": 650, "crs": 650}
	for name, i := range inspectors(t) {
		var sum agreement
		for _, s := range samples {
			agree(t, i, s, &sum)
		}
		t.Logf("%s: %v", name, sum)
		if sum.proved < least[name] {
			t.Errorf("%s: fewer are proved than %d", name, least[name])
		}
	}
}

func TestGateAgreesOnTheCorpus(t *testing.T) {
	root := os.Getenv(corpusVariable)
	if root == "" {
		t.Skipf("NOTHING was compared: set %s to a directory of *.white and *.black requests", corpusVariable)
	}
	sums := map[string]*agreement{".white": {}, ".black": {}}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		sum := sums[filepath.Ext(path)]
		if err != nil || d.IsDir() || sum == nil {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		agree(t, mesh(t), rawSample(filepath.Base(path), string(raw)), sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, sum := range sums {
		t.Logf("%s: %v", strings.TrimPrefix(kind, "."), sum)
	}
	if n := sums[".white"].all; n < 1000 {
		t.Errorf("only %d benign requests", n)
	}
}
