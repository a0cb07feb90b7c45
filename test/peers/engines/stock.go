package engines

import (
	"context"
	"errors"
	"fmt"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// newStock is Coraza as its documentation has it: the configuration and the rule set
// that come with it, without an audit log, asked as its own middleware asks it.
func newStock() (engine, error) {
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(`
Include @coraza.conf-recommended
SecRuleEngine On
SecAuditEngine Off
SecResponseBodyAccess Off
Include @crs-setup.conf.example
Include @owasp_crs/*.conf
`))
	if err != nil {
		return engine{}, fmt.Errorf("build the stock engine: %w", err)
	}
	return engine{
		name: Names()[0], close: func() {},
		prepare: func(r Request) judge {
			return func(context.Context) (bool, error) { return stockJudge(waf, r.Request) }
		},
	}, nil
}

func stockJudge(waf coraza.WAF, r hop.Request) (attack bool, err error) {
	tx := waf.NewTransaction()
	defer func() {
		tx.ProcessLogging()
		err = errors.Join(err, tx.Close())
	}()
	tx.ProcessConnection("10.1.2.3", 41000, "10.1.2.4", 8080)
	tx.ProcessURI(r.Target, r.Method, "HTTP/1.1")
	for _, f := range all(r) {
		tx.AddRequestHeader(f[0], f[1])
	}
	tx.SetServerName(hop.Host)
	if refuses(tx.ProcessRequestHeaders()) {
		return true, nil
	}
	if len(r.Body) > 0 {
		it, _, err := tx.WriteRequestBody(r.Body)
		if err != nil || refuses(it) {
			return refuses(it), err
		}
	}
	it, err := tx.ProcessRequestBody()
	return refuses(it), err
}

func refuses(it *types.Interruption) bool { return it != nil }
