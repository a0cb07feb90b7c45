package policycmd

import (
	"context"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policytool"
)

const importHelp = `Usage: POLICY import --from istio|linkerd [flags] FILE|DIRECTORY...

Translates the policies of another mesh ("-" is standard input, a directory all its
*.yaml and *.yml) and writes them to standard output. Each construct is translated so
that it means the same, or it is reported with its place. With a report nothing is
written, unless --partial is given: then an Allow goes without the rules that lost
something, and allows less, a Deny rule goes without the conditions that were lost,
and denies more, and where that can't be the report says LESS IS DENIED. A field that
is not known always ends it.

Give all files at once: policies of Linkerd refer to each other.

Exit status: 0 all is translated, or --partial was given; 1 something is not, or it
failed, and nothing is written; 2 the command line is wrong.

`

// translate is the command import.
func (t tool) translate(ctx context.Context, args []string, env cli.Environment) error {
	fs := t.flags("import", importHelp)
	r := policytool.ImportRequest{Stdin: env.Stdin}
	from := fs.String("from", "", "whose policies they are: `MESH` is istio or linkerd")
	fs.StringVar(&r.Options.TrustDomain, "trust-domain", "cluster.local", "`domain` that identities here have; cluster.local of the documents becomes it")
	fs.StringVar(&r.Options.RootNamespace, "root-namespace", "istio-system", "`namespace` whose policies hold in all, for Istio")
	fs.StringVar(&r.Options.Namespace, "namespace", "", "`namespace` of documents that name none; such a document is refused, if empty")
	fs.BoolVar(&r.Partial, "partial", false, "write what was translated although something was not")
	paths, err := t.program().Parse(fs, args, maxCaseFiles, env)
	if err != nil {
		return err
	}
	r.Paths, r.From = paths, policytool.Origin(*from)
	switch {
	case r.From != policytool.Istio && r.From != policytool.Linkerd:
		return t.wrong(fs, env, "say whose policies they are: --from istio or --from linkerd")
	case len(paths) == 0:
		return t.wrong(fs, env, "name a file or a directory, or - for standard input")
	}
	if err := policytool.Import(ctx, r, env.Stdout, env.Stderr); err != nil {
		return t.broken(fs, env, err)
	}
	return nil
}
