package clue

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestKindsAreTold(t *testing.T) {
	ids, names := map[int]bool{}, map[string]bool{}
	for _, k := range Kinds() {
		if ids[k.ID()] || names[k.Name()] {
			t.Errorf("%d %s stands there twice", k.ID(), k.Name())
		}
		ids[k.ID()], names[k.Name()] = true, true
		if k.ID() < 7200000 || k.ID() > 7299999 || ByID(k.ID()) != k {
			t.Errorf("%s has id %d", k.Name(), k.ID())
		}
		if len(k.Name()) <= len("outrider/") || k.Message() == "" || strings.HasSuffix(k.Message(), ".") || k.Class() == "" {
			t.Errorf("%d: name %q, message %q, class %q", k.ID(), k.Name(), k.Message(), k.Class())
		}
		if w := k.Weight(); w != Strong && w != Suspicious && w != Hint {
			t.Errorf("%s weighs %d", k.Name(), w)
		}
	}
	if len(ids) < 60 {
		t.Errorf("only %d kinds", len(ids))
	}
	if ByID(0) != None || ByID(7299999) != None {
		t.Error("an id that is none has a kind")
	}
}

func TestAKindCountsOnce(t *testing.T) {
	l := List{Size: 100}
	l.Add(SQLUnion, 0, 5)
	l.Add(SQLUnion, 9, 5)
	l.Form = 1
	l.Add(SQLUnion, 0, 5)
	l.Add(SQLSchema, 0, 5)
	if len(l.All()) != 3 || Weight(l.All()) != Strong+Suspicious {
		t.Errorf("clues %v weigh %d", l.All(), Weight(l.All()))
	}
	if l.Reset(); len(l.All()) != 0 || l.Form != 0 {
		t.Error("not empty after Reset")
	}
}

// The manual lists every kind, as it is.
func TestTheManualListsEveryKind(t *testing.T) {
	manual, err := os.ReadFile("../../../../docs/waf-detection.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		row := fmt.Sprintf("| %d | `%s` | %d | %s |\n", k.ID(), strings.TrimPrefix(k.Name(), "outrider/"), k.Weight(), k.Message())
		if !strings.Contains(string(manual), row) {
			t.Errorf("docs/waf-detection.md has no row\n%s", row)
		}
	}
}
