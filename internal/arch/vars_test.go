package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"
)

// A package variable that changes is shared by every test and every instance in
// a process. Tables, sentinel errors and pools are fine: nobody can observe
// that they are shared.
func TestNoMutablePackageVariables(t *testing.T) {
	m := load(t)
	var total int
	for _, p := range m.pkgs {
		vars, problems := packageVariables(m.fset, p.production())
		total += vars
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	if total < 10 {
		t.Errorf("found only %d package variables", total)
	}
}

func TestMutablePackageVariablesAreFound(t *testing.T) {
	cases := []struct {
		name, src string
		mutable   bool
	}{
		{"a table that is only read", `var a = [...]int{1}; func f() int { return a[0] }`, false},
		{"a sentinel error", `import "errors"; var ErrGone = errors.New("gone")`, false},
		{"a pool", `import "sync"; var pool = sync.Pool{New: func() any { return nil }}; func f() { pool.Get() }`, false},
		{"a value made once when first asked for", `import "sync"; var v = sync.OnceValue(func() int { return 1 })`, false},
		{"an interface guard", `type T struct{}; var _ any = T{}`, false},
		{"an embedded file", "import _ \"embed\"\n//go:embed x\nvar x string", false},
		{"a local variable of the same name", `var a = 1; func f() { a := 2; a = 3; _ = a }`, false},
		{"an assignment", `var a = 1; func f() { a = 2 }`, true},
		{"an increment", `var a = 1; func f() { a++ }`, true},
		{"an element", `var a = map[int]int{}; func f() { a[1] = 2 }`, true},
		{"a deleted element", `var a = map[int]int{}; func f() { delete(a, 1) }`, true},
		{"a cleared map", `var a = map[int]int{}; func f() { clear(a) }`, true},
		{"a field", `var a = struct{ x int }{}; func f() { a.x = 2 }`, true},
		{"what a pointer points to", `var a = new(int); func f() { *a = 2 }`, true},
		{"an address handed out", `var a = 1; func f() *int { return &a }`, true},
		{"a loop's variable", `var a = 1; func f() { for a = range 3 { } }`, true},
		{"a declaration without a value", `var a int`, true},
		{"an exported variable", `var Hook = func() {}`, true},
		{"a lock", `import "sync"; var mu = sync.Mutex{}`, true},
		{"a counter", `import "sync/atomic"; var n = &atomic.Int64{}`, true},
		{"an atomic pointer", `import "sync/atomic"; var n = atomic.Pointer[int]{}`, true},
		{"a channel", `var c = make(chan int)`, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, "x.go", "package x\n"+c.src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := packageVariables(fset, []*file{{name: "x.go", ast: tree}})
			if (len(problems) > 0) != c.mutable {
				t.Errorf("problems %q, want some: %v", problems, c.mutable)
			}
		})
	}
}

// packageVariables counts the package variables and describes those that can
// change. Types are resolved within the package alone, which suffices to tell
// a package variable from a local one.
func packageVariables(fset *token.FileSet, files []*file) (total int, problems []string) {
	trees := make([]*ast.File, len(files))
	for i, f := range files {
		trees[i] = f.ast
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: hollow{}, Error: func(error) {}}
	// Errors are expected: imported packages are empty here.
	p, _ := conf.Check("x", fset, trees, info)
	if p == nil {
		return 0, nil
	}
	c := &varCheck{fset: fset, info: info, scope: p.Scope()}
	for _, tree := range trees {
		for _, d := range tree.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				c.declaration(g)
			}
		}
		ast.Inspect(tree, c.visit)
	}
	return c.total, c.problems
}

// hollow imports every package as an empty one.
type hollow struct{}

func (hollow) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

type varCheck struct {
	fset     *token.FileSet
	info     *types.Info
	scope    *types.Scope
	total    int
	problems []string
}

func (c *varCheck) problem(at token.Pos, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("%s: %s", c.fset.Position(at), fmt.Sprintf(format, args...)))
}

func (c *varCheck) declaration(g *ast.GenDecl) {
	for _, s := range g.Specs {
		spec := s.(*ast.ValueSpec)
		for i, n := range spec.Names {
			if n.Name == "_" {
				continue
			}
			c.total++
			switch {
			case embedded(g.Doc) || embedded(spec.Doc):
			case len(spec.Values) == 0:
				c.problem(n.Pos(), "%s has no value, so something must set it later", n.Name)
			case n.IsExported() && !strings.HasPrefix(n.Name, "Err"):
				c.problem(n.Pos(), "%s is exported, so anybody may set it; make it a function or a constant", n.Name)
			case i < len(spec.Values) && made(spec.Values[i]) != "":
				c.problem(n.Pos(), "%s is a %s", n.Name, made(spec.Values[i]))
			}
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// made names the kind of value that is made to change: a lock, an atomic, a
// channel. sync.Pool is none: what it holds can't be told from what is new.
func made(value ast.Expr) string {
	switch v := value.(type) {
	case *ast.UnaryExpr:
		return made(v.X)
	case *ast.CallExpr:
		if fn, ok := v.Fun.(*ast.Ident); ok && fn.Name == "make" {
			if _, ok := v.Args[0].(*ast.ChanType); ok {
				return "channel"
			}
		}
	case *ast.CompositeLit:
		kind := v.Type
		if x, ok := kind.(*ast.IndexExpr); ok {
			kind = x.X
		}
		if sel, ok := kind.(*ast.SelectorExpr); ok {
			from, ok := sel.X.(*ast.Ident)
			if ok && (from.Name == "atomic" || from.Name == "sync" && sel.Sel.Name != "Pool") {
				return from.Name + "." + sel.Sel.Name
			}
		}
	}
	return ""
}

// visit reports what changes a package variable.
func (c *varCheck) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, to := range n.Lhs {
				c.changed(to, "is assigned to")
			}
		}
	case *ast.IncDecStmt:
		c.changed(n.X, "is changed")
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			c.changed(n.Key, "is assigned to")
			c.changed(n.Value, "is assigned to")
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			c.changed(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && len(n.Args) > 0 {
			c.changed(n.Args[0], "has elements removed")
		}
	}
	return true
}

// changed reports the package variable at the root of an expression, if any.
func (c *varCheck) changed(expr ast.Expr, how string) {
	for {
		switch x := expr.(type) {
		case *ast.ParenExpr:
			expr = x.X
		case *ast.StarExpr:
			expr = x.X
		case *ast.SelectorExpr:
			expr = x.X
		case *ast.IndexExpr:
			expr = x.X
		case *ast.SliceExpr:
			expr = x.X
		case *ast.Ident:
			if v, ok := c.info.Uses[x].(*types.Var); ok && v.Parent() == c.scope {
				c.problem(x.Pos(), "%s %s", x.Name, how)
			}
			return
		default:
			return
		}
	}
}
