package arch

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryPackageHasOneComment(t *testing.T) {
	m := load(t)
	for _, p := range m.pkgs {
		if p.name == "" {
			continue // tests only
		}
		var comments []string
		for _, f := range p.production() {
			if f.ast.Doc != nil {
				comments = append(comments, f.ast.Doc.Text())
			}
		}
		if len(comments) != 1 {
			t.Errorf("%s has %d package comments, want one", p.path, len(comments))
			continue
		}
		want := "Package " + p.name + " "
		if p.name == "main" {
			want = "Command " + p.path[strings.LastIndex(p.path, "/")+1:] + " "
		}
		if !strings.HasPrefix(comments[0], want) {
			t.Errorf("the comment of %s begins with %.30q, want %q", p.path, comments[0], want)
		}
	}
}

// Nineteen in twenty is the least; what is missing is listed either way.
func TestExportedIdentifiersAreDocumented(t *testing.T) {
	m := load(t)
	var total int
	var missing []string
	for _, p := range m.pkgs {
		if p.name == "main" {
			continue
		}
		for _, f := range p.production() {
			for _, e := range exported(f.ast) {
				total++
				if !e.documented {
					missing = append(missing, p.path+": "+e.name)
				}
			}
		}
	}
	report := t.Logf
	if len(missing)*20 > total {
		report = t.Errorf
	}
	if len(missing) > 0 {
		report("%d of %d exported identifiers are not documented:\n  %s", len(missing), total, strings.Join(missing, "\n  "))
	}
	if total < 150 {
		t.Errorf("found only %d exported identifiers", total)
	}
}

type identifier struct {
	name       string
	documented bool
}

// exported lists what a file exports at its top level, and the methods of
// exported types.
func exported(f *ast.File) []identifier {
	var all []identifier
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name, ok := exportedFunc(d); ok {
				all = append(all, identifier{name, d.Doc != nil})
			}
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				all = append(all, exportedSpecs(d)...)
			}
		}
	}
	return all
}

func exportedFunc(d *ast.FuncDecl) (string, bool) {
	if !d.Name.IsExported() {
		return "", false
	}
	if d.Recv == nil {
		return d.Name.Name, true
	}
	of := receiver(d)
	return of + "." + d.Name.Name, ast.IsExported(of)
}

// receiver returns the type's name of a method, without star and parameters.
func receiver(d *ast.FuncDecl) string {
	expr := d.Recv.List[0].Type
	for {
		switch x := expr.(type) {
		case *ast.StarExpr:
			expr = x.X
		case *ast.IndexExpr:
			expr = x.X
		case *ast.IndexListExpr:
			expr = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// A comment on a group of constants or variables documents all of it.
func exportedSpecs(d *ast.GenDecl) []identifier {
	var all []identifier
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				all = append(all, identifier{s.Name.Name, d.Doc != nil || s.Doc != nil})
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() {
					all = append(all, identifier{n.Name, d.Doc != nil || s.Doc != nil || s.Comment != nil})
				}
			}
		}
	}
	return all
}

// docs/architecture.md says of each package what it is; a package that is not
// there is one whose place nobody has thought about.
func TestArchitecturePageNamesEveryPackage(t *testing.T) {
	m := load(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.pkgs {
		name := strings.TrimPrefix(p.path, "./")
		if name == "." || strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "examples/") {
			continue
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/architecture.md does not say what `%s` is", name)
		}
	}
}
