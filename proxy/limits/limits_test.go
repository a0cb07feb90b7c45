package limits_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// unbounded are the fields whose zero means that there is no bound.
var unbounded = map[string]bool{"BodyBytes": true}

func TestEveryLimitHasADefault(t *testing.T) {
	v := reflect.ValueOf(limits.Default())
	if v.NumField() < 20 {
		t.Fatalf("only %d limits", v.NumField())
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if v.Field(i).Kind() != reflect.Int && v.Field(i).Kind() != reflect.Int64 {
			t.Errorf("%s is a %v", f.Name, f.Type)
			continue
		}
		if zero := v.Field(i).Int() == 0; zero != unbounded[f.Name] || v.Field(i).Int() < 0 {
			t.Errorf("the default of %s is %d", f.Name, v.Field(i).Int())
		}
	}
}

// Each limit says what it bounds: the reference is built on these sentences.
func TestEveryLimitIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "limits.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				seen++
				if doc := f.Doc.Text(); len(doc) < len(name.Name)+10 || doc[:len(name.Name)] != name.Name {
					t.Errorf("%s is documented as %q", name, doc)
				}
			}
		}
		return true
	})
	if want := reflect.TypeFor[limits.Limits]().NumField(); seen != want {
		t.Errorf("saw %d of %d fields", seen, want)
	}
}

// Defaults that contradict each other would make one of them useless.
func TestDefaultsFitTogether(t *testing.T) {
	l := limits.Default()
	for _, c := range []struct {
		why  string
		fits bool
	}{
		{"a request target is part of a head", l.TargetBytes < l.HeadBytes},
		{"trailers are smaller than a head", l.TrailerBytes <= l.HeadBytes},
		{"idle connections are some of all", l.UpstreamIdle <= l.UpstreamConnections},
		{"RFC 9112 §3 asks for targets of 8,000 bytes", l.TargetBytes >= 8000},
		{"a connect is answered before the client gives up on the answer", l.UpstreamConnectTimeout < l.UpstreamResponseTimeout},
		{"detection is not noticed", l.DetectTimeout < time.Second},
		{"lingering does not outlast a drain", l.LingerTimeout < 30*time.Second},
		{"an idle tunnel may be longer than an idle request", l.TCPIdleTimeout > l.IdleTimeout},
		{"RFC 9113 §6.9.2: a peer may send 65,535 bytes before it knows our windows", l.StreamWindow >= 65535 && l.ConnectionWindow >= l.StreamWindow},
		{"RFC 9113 §5.1.2 advises against fewer than 100 streams", l.ConcurrentStreams >= 100},
		{"a head of full frames fits its count of frames", l.HeadFrames > 2*l.HeadBytes/16384},
		{"a dead peer is noticed before its calls are given up", l.PlainPingInterval+l.PingTimeout < l.StreamIdleTimeout},
		{"a ping is not a strike to a gRPC server", l.PlainPingInterval > 5*time.Minute},
		{"one full frame fits the write buffer", l.WriteBuffer >= 2*16384},
		{"a connection to the next hop is given up before the next hop does", l.UpstreamIdleTimeout <= time.Minute},
	} {
		if !c.fits {
			t.Errorf("not so: %s: %+v", c.why, l)
		}
	}
}
