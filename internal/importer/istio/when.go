package istio

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
)

// when translates a condition that is one here as well.
func (t *translator) when(at string, c *condition) []authz.Condition {
	made := authz.Condition{}
	one := asItIs
	switch header, ok := headerOf(c.Key); {
	case ok:
		made.Header = header
	case c.Key == "destination.ip":
		made.Connection, one = authz.DestinationIP, importer.Network
	case c.Key == "connection.sni":
		t.untranslated(at+".key", "the server name of a hop is the mesh's own", "leave the condition out, or use hosts")
		return nil
	case c.Key == "remote.ip":
		t.untranslated(at+".key", "X-Forwarded-For is not consulted", "use ipBlocks for whoever connects")
		return nil
	case strings.HasPrefix(c.Key, "request.auth."):
		t.untranslated(at+".key", "JSON Web Tokens are not verified here", "leave the condition to the application")
		return nil
	default:
		t.untranslated(at+".key", strconv.Quote(c.Key)+" is not known", "write a condition that is")
		return nil
	}
	fits := func(v []string) authz.Rule {
		alone := made
		alone.Values = v
		return authz.Rule{When: []authz.Condition{alone}}
	}
	values, notValues := t.translate(at+".values", c.Values, one, fits), t.translate(at+".notValues", c.NotValues, one, fits)
	made.Values, made.NotValues = values, notValues
	if made.Header != "" {
		t.present(at, values, notValues)
	}
	if !t.hasValues(at, c) || len(values)+len(notValues) == 0 {
		return nil
	}
	return []authz.Condition{made}
}

// present looks after *: it is for a header that is not empty, and Envoy takes an
// empty one for present as well. Whoever calls may send one, so where that would
// deny less or allow more, the condition has no equal.
func (t *translator) present(at string, values, notValues []string) {
	weaker, stronger := notValues, values
	if t.deny {
		weaker, stronger = values, notValues
	}
	if slices.Contains(weaker, "*") {
		t.untranslated(at, "* is for a header that is not empty, and Istio takes an empty one for present as well", "name the values that are meant")
	} else if slices.Contains(stronger, "*") {
		t.Note(at, "* is for a header that is not empty; Istio takes an empty one for present as well")
	}
}

// hasValues reports a condition without any.
func (t *translator) hasValues(at string, c *condition) bool {
	if len(c.Values)+len(c.NotValues) > 0 {
		return true
	}
	t.untranslated(at, "the condition has no values", "write values or notValues, or remove it")
	return false
}

// headerOf takes request.headers[NAME] apart.
func headerOf(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, "request.headers[")
	name, closed := strings.CutSuffix(rest, "]")
	return name, ok && closed && name != "" && !strings.ContainsAny(name, "[]")
}

// whoWhen puts a condition on the caller into every group. Two lists of values of
// which both have to match can't be one list; what must not match can.
func (t *translator) whoWhen(at string, c *condition, groups []authz.From) {
	if !t.hasValues(at, c) {
		return
	}
	var translate func(string, []string) []string
	var pick func(*authz.From) (is, isNot *[]string)
	switch c.Key {
	case "source.ip":
		translate, pick = t.blocks, func(g *authz.From) (*[]string, *[]string) { return &g.IPBlocks, &g.NotIPBlocks }
	case "source.namespace":
		translate, pick = t.namespaces, func(g *authz.From) (*[]string, *[]string) { return &g.Namespaces, &g.NotNamespaces }
	case "source.principal":
		translate, pick = t.principals, func(g *authz.From) (*[]string, *[]string) { return &g.Principals, &g.NotPrincipals }
	case "source.serviceAccount":
		translate, pick = t.accounts, func(g *authz.From) (*[]string, *[]string) { return &g.ServiceAccounts, &g.NotServiceAccounts }
	default:
		t.untranslated(at+".key", strconv.Quote(c.Key)+" is not known", "write a condition that is")
		return
	}
	values, notValues := translate(at+".values", c.Values), translate(at+".notValues", c.NotValues)
	for i := range groups {
		is, isNot := pick(&groups[i])
		merge(t, at, is, values)
		*isNot = append(slices.Clip(*isNot), notValues...)
	}
}

// portWhen does the same for the port that is called.
func (t *translator) portWhen(at string, c *condition, groups []authz.To) {
	if !t.hasValues(at, c) {
		return
	}
	values, notValues := t.ports(at+".values", c.Values), t.ports(at+".notValues", c.NotValues)
	for i := range groups {
		g := &groups[i]
		merge(t, at, &g.Ports, values)
		g.NotPorts = append(slices.Clip(g.NotPorts), notValues...)
	}
}

// merge sets a list that was not said anything of yet.
func merge[T any](t *translator, at string, list *[]T, values []T) {
	switch {
	case len(values) == 0:
	case len(*list) > 0:
		t.untranslated(at, "the same is asked for in from or to, and both would have to match", "write the values that are in both there, and remove the condition")
	default:
		*list = values
	}
}
