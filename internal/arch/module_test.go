package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// modulePath is the prefix of our own import paths. Within these tests a
// package of ours is written "./proxy/http1", any other as it is imported.
const modulePath = "github.com/outrider-mesh/outrider"

// root is the repository, seen from this directory.
const root = "../.."

// A file is one Go source file, whatever system it is built for.
type file struct {
	name string // from the root, with slashes
	test bool
	ast  *ast.File
}

// A pkg is one directory of Go files.
type pkg struct {
	path  string // "./proxy/http1"
	name  string // of its production files; empty when it holds tests only
	files []*file
}

// A module is all of our packages, in order of path.
type module struct {
	fset *token.FileSet
	pkgs []*pkg
}

// parsed reads the module once for all tests.
var parsed = sync.OnceValues(parseModule)

func load(t *testing.T) *module {
	t.Helper()
	m, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.pkgs) < 12 {
		t.Fatalf("found only %d packages; is %q the repository?", len(m.pkgs), root)
	}
	return m
}

func parseModule() (*module, error) {
	m := &module{fset: token.NewFileSet()}
	byPath := map[string]*pkg{}
	err := walk(func(name string, _ fs.DirEntry) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		tree, err := parser.ParseFile(m.fset, filepath.Join(root, name), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		at := "./" + path.Dir(name)
		p := byPath[at]
		if p == nil {
			p = &pkg{path: at}
			byPath[at] = p
			m.pkgs = append(m.pkgs, p)
		}
		f := &file{name: name, test: strings.HasSuffix(name, "_test.go"), ast: tree}
		if !f.test {
			p.name = tree.Name.Name
		}
		p.files = append(p.files, f)
		return nil
	})
	slices.SortFunc(m.pkgs, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return m, err
}

// walk visits every file of the repository that is ours: not what git or the
// Makefile keep there, not test data, not another module.
func walk(visit func(name string, d fs.DirEntry) error) error {
	skipped := []string{".git", "bin", "dist", "tmp", "coverage"}
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == ".git" && !d.IsDir() {
			return nil // of a second working tree: it names where the first one is
		}
		if !d.IsDir() {
			return visit(rel, d)
		}
		_, noModule := os.Stat(filepath.Join(name, "go.mod"))
		switch {
		case rel == ".":
			return nil
		case slices.Contains(skipped, rel), d.Name() == "testdata", noModule == nil:
			return filepath.SkipDir
		}
		return nil
	})
}

// production returns the files that become part of a program.
func (p *pkg) production() []*file {
	return slices.DeleteFunc(slices.Clone(p.files), func(f *file) bool { return f.test })
}

// imports returns what a file imports, our own packages as "./...".
func (f *file) imports() []string {
	var all []string
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it, so this can't be
		}
		all = append(all, shorten(name))
	}
	return all
}

func shorten(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, modulePath+"/"); ok {
		return "./" + rest
	}
	return importPath
}

// has tells whether the module has a package that matches the pattern.
func (m *module) has(pattern string) bool {
	return slices.ContainsFunc(m.pkgs, func(p *pkg) bool { return matches(pattern, p.path) })
}

// matches tells whether a package is meant by a pattern: "./authz" is that one,
// "./authz/..." it and all below.
func matches(pattern, path string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return tree == "." && strings.HasPrefix(path, "./") || path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}
