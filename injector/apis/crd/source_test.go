package crd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/injector/apis/crd"
)

// comments reads what the source says of types and fields. Those of other modules
// have none here.
func comments(t *testing.T) crd.Describer {
	t.Helper()
	known := map[string]map[string]string{}
	return func(typ reflect.Type, field string) string {
		dir, ours := strings.CutPrefix(typ.PkgPath(), module)
		if !ours {
			return ""
		}
		if known[dir] == nil {
			known[dir] = parse(t, filepath.Join(root, dir))
		}
		return known[dir][strings.TrimSuffix(typ.Name()+"."+field, ".")]
	}
}

func parse(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source in %s, %v", dir, err)
	}
	for _, name := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					found[s.Name.Name] = sentence(g.Doc)
					fields(s, found)
				}
			}
		}
	}
	return found
}

func fields(s *ast.TypeSpec, found map[string]string) {
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			found[s.Name.Name+"."+n.Name] = sentence(f.Doc)
		}
	}
}

var reference = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

func sentence(doc *ast.CommentGroup) string {
	return reference.ReplaceAllString(strings.Join(strings.Fields(doc.Text()), " "), "$1")
}
