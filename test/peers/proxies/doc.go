// Package proxies knows how to run each program under test as the two proxies
// of one mesh hop: outbound takes plaintext and sends mTLS, inbound takes mTLS,
// verifies the client's certificate and sends plaintext.
//
// What a program is told is in templates/, one file each, to be read and
// argued with. A further program is one more [Program] in [Catalogue].
package proxies

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/outrider-mesh/outrider/test/peers/pki"
)

// ErrAbsent says that a program is not installed here.
var ErrAbsent = errors.New("not installed")

// A Program is a proxy that can be found and started.
type Program interface {
	// Locate finds the program; the error wraps ErrAbsent if it is not here.
	Locate(ctx context.Context) (Install, error)
	// Command writes what the program needs below side.Dir and returns how to
	// start it in the foreground.
	Command(at Install, side Side) (Command, error)
}

// An Install is a program found on this machine.
type Install struct {
	// Path is the executable.
	Path string
	// Version is what the program says it is, in a few words.
	Version string
}

// A Side is one of the two proxies of a hop.
type Side struct {
	// Outbound tells the side next to the caller; otherwise it is the one next
	// to the app.
	Outbound bool
	// Listen and Upstream are host:port addresses.
	Listen, Upstream string
	// HTTP2 tells that HTTP/2 is spoken on all three legs, HTTP/1.1 otherwise.
	HTTP2 bool
	// Dir is this side's own directory for configuration and logs.
	Dir string
	// Workers is the number of threads or processes that serve; zero asks for
	// as many as there are processors.
	Workers int
	// Identity is presented on the hop; Peer is who the other side must be.
	Identity, Peer pki.Files
}

// Name says which side it is, for messages.
func (s Side) Name() string {
	if s.Outbound {
		return "outbound"
	}
	return "inbound"
}

// TrustDomain is the trust domain of both identities.
func (s Side) TrustDomain() string { return pki.TrustDomain }

// AccessLog is where the side writes its access log. Not every program writes a
// plain file: see the templates.
func (s Side) AccessLog() string { return filepath.Join(s.Dir, "access.log") }

// A Command starts a program.
type Command struct {
	// Path is the executable, Args its arguments without the name.
	Path string
	Args []string
	// Env is added to our own environment, as NAME=value.
	Env []string
}

// An Entry is a program under the name it is asked for by.
type Entry struct {
	Name    string
	Program Program
	// Default tells whether it takes part unless others are named.
	Default bool
	// Inspects tells that its inbound side looks for attacks and refuses them;
	// Without names the same program as it is when it doesn't.
	Inspects bool
	Without  string
	// Opaque tells that it carries bytes: it reads no HTTP and logs no request.
	Opaque bool
	// Calls tells that it carries gRPC as well.
	Calls bool
	// NoInspection is why a program has no entry that inspects; empty for those
	// of which nobody would expect one.
	NoInspection string
}

// Paths says where to find programs that may be built or installed anywhere.
type Paths struct {
	// Outrider is the sidecar's executable.
	Outrider string
	// Envoy is Envoy's executable; empty looks on PATH and in Python packages.
	Envoy string
	// Self is the benchmark's own executable, which holds the reference proxy.
	Self string
}

// Catalogue lists every program, in the order of the tables.
func Catalogue(paths Paths) []Entry {
	return []Entry{
		{Name: "outrider", Program: outrider{path: paths.Outrider}, Default: true, Calls: true},
		{Name: "nginx", Program: nginx{}, Default: true, Calls: true},
		{
			Name: "haproxy", Program: haproxy{}, Default: true,
			NoInspection: "Debian has neither a ModSecurity nor a Coraza agent for it",
		},
		{
			Name: "envoy", Program: envoy{path: paths.Envoy}, Default: true, Calls: true,
			NoInspection: "the build has no such filter; coraza-proxy-wasm is a download of its own",
		},
		{Name: "stunnel", Program: stunnel{}, Default: true, Opaque: true},
		{Name: "nethttp", Program: netHTTP{self: paths.Self}},
		// Those that inspect; the rule set of the distribution's nginx is the mark.
		{
			Name: "outrider+waf", Program: outrider{path: paths.Outrider, profile: "crs"}, Default: true,
			Inspects: true, Without: "outrider",
		},
		{
			Name: "outrider+waf-mesh", Program: outrider{path: paths.Outrider, profile: "mesh"}, Default: true,
			Inspects: true, Without: "outrider",
		},
		{
			Name: "nginx+modsecurity", Program: nginx{modsecurity: &modsecurity{}}, Default: true,
			Inspects: true, Without: "nginx",
		},
		// The whole of large bodies is held, for who measures what that takes.
		{Name: "outrider+waf-64k", Program: outrider{path: paths.Outrider, profile: "mesh", bytes: 64 << 10}, Inspects: true, Without: "outrider"},
		{Name: "nethttp+filter", Program: netHTTP{self: paths.Self, filter: true}, Inspects: true, Without: "nethttp"},
	}
}

//go:embed templates
var templates embed.FS

// render fills in a template with data and writes it to a directory.
func render(name, dir string, data any) (string, error) {
	// Both halves of a host:port; the other half and the error are dropped
	// because the benchmark chose the address itself.
	functions := template.FuncMap{
		"host": func(addr string) string { host, _, _ := net.SplitHostPort(addr); return host },
		"port": func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port },
	}
	t, err := template.New(name).Funcs(functions).ParseFS(templates, "templates/"+name)
	if err != nil {
		return "", fmt.Errorf("parse the template of %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", name, err)
	}
	if err := errors.Join(t.Execute(f, data), f.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}
