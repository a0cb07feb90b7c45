package arch

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// Bounds of a function, in lines from its first to its last.
const (
	longFunction    = 60  // at most 3 in 100 may be longer
	longestFunction = 120 // none may be longer
)

func TestFunctionsAreShort(t *testing.T) {
	m := load(t)
	var total int
	var long []string
	for _, p := range m.pkgs {
		for _, f := range p.production() {
			for _, fn := range functions(f.ast) {
				total++
				lines := m.fset.Position(fn.End()).Line - m.fset.Position(fn.Pos()).Line + 1
				if lines > longFunction {
					long = append(long, f.name+": "+fn.Name.Name)
				}
				if lines > longestFunction {
					t.Errorf("%s: %s has %d lines; none may have more than %d", f.name, fn.Name.Name, lines, longestFunction)
				}
			}
		}
	}
	if len(long)*100 > total*3 {
		t.Errorf("%d of %d functions have more than %d lines, over 3 %%:\n  %s", len(long), total, longFunction, strings.Join(long, "\n  "))
	}
	if total < 200 {
		t.Errorf("found only %d functions", total)
	}
}

func functions(f *ast.File) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

func TestNoInitFunctions(t *testing.T) {
	for _, p := range load(t).pkgs {
		for _, f := range p.files {
			for _, fn := range functions(f.ast) {
				if fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function; what a program is made of is written where it starts", f.name)
				}
			}
		}
	}
}

// A name must tell what is inside.
func TestNamesSayWhatIsInside(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}
	for _, p := range load(t).pkgs {
		if last := path.Base(p.path); last == "types" || slices.Contains(vague, last) {
			t.Errorf("%s: a package is named by what it provides", p.path)
		}
		for _, f := range p.files {
			name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
			if slices.Contains(vague, name) {
				t.Errorf("%s: a file is named by what it holds", f.name)
			}
		}
	}
}

// The program is a function of its arguments and streams; main only calls it.
func TestMainsAreSmall(t *testing.T) {
	const most = 40 // lines
	m := load(t)
	for _, p := range m.pkgs {
		if p.name != "main" || !strings.HasPrefix(p.path, "./cmd/") {
			continue
		}
		for _, f := range p.production() {
			for _, fn := range functions(f.ast) {
				if fn.Recv != nil || fn.Name.Name != "main" {
					continue
				}
				if lines := m.fset.Position(f.ast.FileEnd).Line; path.Base(f.name) != "main.go" || lines > most {
					t.Errorf("%s holds main and %d lines; main belongs into a main.go of at most %d", f.name, lines, most)
				}
			}
		}
	}
}

// Who starts a goroutine waits for it, and a test sees whether it does.
func TestGoroutinesAreCheckedForLeaks(t *testing.T) {
	var starters int
	for _, p := range load(t).pkgs {
		if p.name == "main" || matchesAny(testOnly, p.path) || !slices.ContainsFunc(p.production(), startsGoroutine) {
			continue
		}
		starters++
		if !slices.ContainsFunc(p.files, func(f *file) bool {
			return f.test && slices.Contains(f.imports(), "go.uber.org/goleak")
		}) {
			t.Errorf("%s starts goroutines and its tests don't look for leaked ones (goleak.VerifyTestMain)", p.path)
		}
	}
	if starters == 0 {
		t.Error("found no package that starts goroutines")
	}
}

func startsGoroutine(f *file) bool {
	var found bool
	ast.Inspect(f.ast, func(n ast.Node) bool {
		_, isGo := n.(*ast.GoStmt)
		found = found || isGo
		return !found
	})
	return found
}

// Two fields of tls.Config turn verification off in ways that are easily
// overlooked; the linter sees assignments, this sees literals as well. Probes
// verify nobody: they ask an address of their own pod whether anybody answers.
func TestVerificationStaysInOnePlace(t *testing.T) {
	for _, p := range load(t).pkgs {
		if p.path == "./identity/mtls" || p.path == "./proxy/probe" || strings.HasPrefix(p.path, "./test/") {
			continue
		}
		for _, f := range p.production() {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				if ok && (id.Name == "InsecureSkipVerify" || id.Name == "VerifyPeerCertificate") {
					t.Errorf("%s uses %s; peers are verified in identity/mtls only, in VerifyConnection, which resumption doesn't skip", f.name, id.Name)
				}
				return true
			})
		}
	}
}
