package policycmd

import (
	"flag"
	"fmt"
	"strings"

	"github.com/outrider-mesh/outrider/authz/trial"
)

// A Call is what flags say of a call that nobody has made yet.
type Call struct {
	// To is who is called, in the program's own way.
	To string

	from, source, method, path, host string
	headers                          headers
}

// Flags adds the flags of a call. to is the help of --to.
func (c *Call) Flags(fs *flag.FlagSet, to string) {
	fs.StringVar(&c.from, "from", "", "the caller's `SPIFFE-ID`, or plaintext")
	fs.StringVar(&c.source, "source", "", "the caller's `address`; without it no ipBlocks match")
	fs.StringVar(&c.To, "to", "", to)
	fs.StringVar(&c.method, "method", "", "the request's `method` (default GET)")
	fs.StringVar(&c.path, "path", "", "the request's `path`, without its query")
	fs.StringVar(&c.host, "host", "", "the request's `authority`")
	fs.Var(&c.headers, "header", "a `NAME: VALUE` of the request; may be repeated")
}

// Asked is the call, without its port.
func (c *Call) Asked() trial.Call {
	call := trial.Call{From: c.from, Source: c.source, Method: c.method, Path: c.path, Host: c.host, Headers: c.headers}
	if c.path != "" && c.method == "" {
		call.Method = "GET"
	}
	return call
}

// headers collects those of a call.
type headers map[string]string

// String implements flag.Value.
func (h *headers) String() string { return "" }

// Set implements flag.Value.
func (h *headers) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME: VALUE", text)
	}
	if *h == nil {
		*h = headers{}
	}
	if _, twice := (*h)[strings.ToLower(name)]; twice {
		return fmt.Errorf("the header %q is there twice", name)
	}
	(*h)[strings.ToLower(name)] = strings.TrimSpace(value)
	return nil
}
