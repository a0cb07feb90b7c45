package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/outrider-mesh/outrider/injector/manifest"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const injectHelp = `Usage: kubectl outrider inject --image IMAGE [flags] [FILE]

Reads manifests, of standard input if no file or "-" is named, and writes them with a
sidecar in every pod and in everything that makes pods. It does what the webhook does,
by the same function, without a cluster. Injecting twice is injecting once. What
became of each object is said on standard error.

Examples:

  kubectl outrider inject --image outrider:dev deployment.yaml | kubectl apply -f -

Exit status: 0 done; 1 an object can't have a sidecar, or it failed, and nothing is
written; 2 the command line is wrong.

`

const uninjectHelp = `Usage: kubectl outrider uninject [FILE]

Reads manifests, of standard input if no file or "-" is named, and writes them without
the sidecars that were put in, as they were before.

Exit status: 0 done; 1 it failed, and nothing is written; 2 the command line is wrong.

`

// inject is "kubectl outrider inject".
func inject(_ context.Context, args []string, env cli.Environment) error {
	fs := flags("inject", injectHelp)
	image := fs.String("image", "", "the sidecar's `image`; required")
	namespace := fs.String("namespace", "default", "namespace of objects that name none")
	system := fs.String("system-namespace", mutate.ControlPlaneNamespace, "where the control plane runs")
	trustDomain := fs.String("trust-domain", mutate.DefaultTrustDomain, "trust domain of the mesh")
	provider := fs.String("identity-provider", string(config.ProviderMeshCA), "where sidecars get identities: MeshCA or WorkloadAPI")
	files, err := program().Parse(fs, args, 1, env)
	if err != nil {
		return err
	}
	p := config.IdentityProvider(*provider)
	if *image == "" || p != config.ProviderMeshCA && p != config.ProviderWorkloadAPI {
		fmt.Fprintln(env.Stderr, "kubectl outrider inject: name the sidecar's image with --image, and as --identity-provider MeshCA or WorkloadAPI")
		return usage
	}
	mesh := mutate.Mesh{
		Image: *image, Version: buildinfo.Version().Version, Namespace: *system, Identity: config.MeshIdentity{Provider: p},
		ControlPlane: mutate.ControlPlaneAddress(*system), ControlPlaneID: mutate.ControlPlaneID(*trustDomain, *system),
	}
	return edit(files, env, func(in []byte) ([]byte, []manifest.Result, error) {
		return manifest.Inject(in, manifest.Options{Mesh: mesh, Namespace: *namespace})
	})
}

// uninject is "kubectl outrider uninject".
func uninject(_ context.Context, args []string, env cli.Environment) error {
	files, err := program().Parse(flags("uninject", uninjectHelp), args, 1, env)
	if err != nil {
		return err
	}
	return edit(files, env, manifest.Remove)
}

// edit reads the file, or standard input, and writes what becomes of it. Nothing is
// written if anything could not have its sidecar: half a manifest is applied by
// mistake.
func edit(files []string, env cli.Environment, do func([]byte) ([]byte, []manifest.Result, error)) error {
	in, err := input(files, env)
	if err != nil {
		return err
	}
	out, results, err := do(in)
	refused := false
	for _, r := range results {
		refused = refused || r.Outcome.Verdict == mutate.Refuse
		report(env.Stderr, r)
	}
	if err != nil {
		return err
	}
	if refused {
		return failed
	}
	_, err = io.Copy(env.Stdout, bytes.NewReader(out))
	return err
}

func report(w io.Writer, r manifest.Result) {
	text := r.Outcome.Detail
	if r.Outcome.Verdict != "" {
		text = r.Outcome.String()
	}
	fmt.Fprintf(w, "%s: %s\n", r.Object, text)
	for _, remark := range r.Outcome.Remarks {
		fmt.Fprintf(w, "%s: %s\n", r.Object, remark)
	}
}

func input(files []string, env cli.Environment) ([]byte, error) {
	if len(files) == 0 || files[0] == "-" {
		return io.ReadAll(io.LimitReader(env.Stdin, manifest.MaxBytes+1))
	}
	f, err := os.Open(files[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, manifest.MaxBytes+1))
}
