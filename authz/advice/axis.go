package advice

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
)

// A list is the values of one field, as documents write them.
type list struct {
	name string
	get  func() []string
	put  func([]string)
}

// An axis is one field of a group, in its positive form and its not-form.
type axis struct {
	// lists finds both forms in a group of a rule.
	lists func(r *authz.Rule, group int) (is, isNot list)
	// fact is the value that would make the positive form match; empty where
	// there is none.
	fact string
}

func texts(name string, values *[]string) list {
	return list{name, func() []string { return *values }, func(v []string) { *values = v }}
}

func numbers(name string, values *[]int) list {
	get := func() (all []string) {
		for _, n := range *values {
			all = append(all, strconv.Itoa(n))
		}
		return all
	}
	put := func(v []string) {
		*values = nil
		for _, text := range v {
			n, _ := strconv.Atoi(text) // it was a number before
			*values = append(*values, n)
		}
	}
	return list{name, get, put}
}

// fromAxis is an axis of callers.
func fromAxis(name, not, fact string, pick func(*authz.From) (is, isNot *[]string)) axis {
	return axis{fact: fact, lists: func(r *authz.Rule, group int) (list, list) {
		is, isNot := pick(&r.From[group])
		return texts(name, is), texts(not, isNot)
	}}
}

func toAxis(name, not, fact string, pick func(*authz.To) (is, isNot *[]string)) axis {
	return axis{fact: fact, lists: func(r *authz.Rule, group int) (list, list) {
		is, isNot := pick(&r.To[group])
		return texts(name, is), texts(not, isNot)
	}}
}

// callerAxes are the fields of from. A namespace or an account is one of the
// workload's own trust domain, unless the group names domains.
func (s *search) callerAxes(g *authz.From) []axis {
	peer := s.request.Peer
	var id, domain, namespace, account, source string
	if !peer.IsZero() {
		id, domain = peer.String(), peer.TrustDomain().Name()
		if domain == s.opts.Workload.TrustDomain || len(g.TrustDomains) > 0 {
			namespace, account = accountOf(peer.Path())
		}
	}
	if s.request.Source.IsValid() {
		source = s.request.Source.Unmap().WithZone("").String()
	}
	return []axis{
		fromAxis("principals", "notPrincipals", id, func(g *authz.From) (*[]string, *[]string) { return &g.Principals, &g.NotPrincipals }),
		fromAxis("trustDomains", "notTrustDomains", domain, func(g *authz.From) (*[]string, *[]string) { return &g.TrustDomains, &g.NotTrustDomains }),
		fromAxis("namespaces", "notNamespaces", namespace, func(g *authz.From) (*[]string, *[]string) { return &g.Namespaces, &g.NotNamespaces }),
		fromAxis("serviceAccounts", "notServiceAccounts", account, func(g *authz.From) (*[]string, *[]string) { return &g.ServiceAccounts, &g.NotServiceAccounts }),
		fromAxis("ipBlocks", "notIPBlocks", source, func(g *authz.From) (*[]string, *[]string) { return &g.IPBlocks, &g.NotIPBlocks }),
	}
}

// callAxes are the fields of to. A connection that is not HTTP has no fact that
// a field of HTTP could match.
func (s *search) callAxes() []axis {
	port, host, method, path := "", "", "", ""
	if s.request.Port != 0 {
		port = strconv.Itoa(int(s.request.Port))
	}
	if s.request.HTTP {
		host, method, path = hostOf(s.request.Host), s.request.Method, PathPattern(s.request.Path)
	}
	return []axis{
		{fact: port, lists: func(r *authz.Rule, group int) (list, list) {
			g := &r.To[group]
			return numbers("ports", &g.Ports), numbers("notPorts", &g.NotPorts)
		}},
		toAxis("hosts", "notHosts", host, func(g *authz.To) (*[]string, *[]string) { return &g.Hosts, &g.NotHosts }),
		toAxis("methods", "notMethods", method, func(g *authz.To) (*[]string, *[]string) { return &g.Methods, &g.NotMethods }),
		toAxis("paths", "notPaths", path, func(g *authz.To) (*[]string, *[]string) { return &g.Paths, &g.NotPaths }),
	}
}

// accountOf takes the path of a Kubernetes service account's SPIFFE ID apart;
// both are empty for any other.
func accountOf(path string) (namespace, account string) {
	parts := strings.Split(path, "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return "", ""
	}
	return parts[2], parts[2] + "/" + parts[4]
}

// hostOf is the host without its port.
func hostOf(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i]
	}
	return authority
}

// PathPattern is the pattern that matches exactly this normalised path.
func PathPattern(path string) string {
	if path == "*" { // of OPTIONS; no pattern means just that
		return ""
	}
	return strings.NewReplacer("*", "%2A", "{", "%7B", "}", "%7D").Replace(path)
}

// without returns the list but for one value.
func without(values []string, value string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == value })
}
