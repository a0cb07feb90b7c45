package proxies

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestTheSidecarsFilesAreAcceptedWithoutAWarning(t *testing.T) {
	for _, profile := range []string{"", "crs", "mesh"} {
		for _, outbound := range []bool{true, false} {
			side := Side{
				Outbound: outbound, Listen: "127.0.0.1:1001", Upstream: "127.0.0.1:1002", Dir: t.TempDir(),
				Identity: identity("client"), Peer: identity("server"),
			}
			command, err := (outrider{profile: profile}).Command(Install{Path: "/outrider"}, side)
			if err != nil {
				t.Fatal(err)
			}
			_, problems, err := config.LoadSidecar(command.Args[len(command.Args)-1])
			if err != nil || len(problems) > 0 {
				t.Errorf("%s: %v, %v", side.Name(), err, problems)
			}
			if !outbound {
				checkPolicies(t, filepath.Join(side.Dir, "policies"), profile)
			}
		}
	}
}

// checkPolicies wants one AccessPolicy and, with a profile, one InspectionPolicy
// that blocks and differs from the defaults in the profile and the bytes of a body.
func checkPolicies(t *testing.T, dir, profile string) {
	t.Helper()
	var files []config.File
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, config.File{Name: path, Data: text})
	}
	documents, err := config.ParseDocuments(files)
	if err != nil || len(documents.Warnings) > 0 || len(documents.Access) != 1 {
		t.Fatalf("policies: %v, %+v", err, documents)
	}
	var want []config.InspectionSpec
	if profile != "" {
		want = append(want, config.InspectionSpec{
			Mode: config.Block, Profile: config.Profile(profile), Body: config.InspectionBody{InspectBytes: 128 << 10},
		}.WithDefaults())
	}
	var got []config.InspectionSpec
	for _, p := range documents.Inspection {
		got = append(got, p.Spec.WithDefaults())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inspection of profile %q: %s", profile, diff)
	}
}
