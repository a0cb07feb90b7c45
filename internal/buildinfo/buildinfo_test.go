package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribe(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	cases := map[string]struct {
		build debug.BuildInfo
		want  Info
		text  string
	}{
		"a release names version, commit and toolchain": {
			debug.BuildInfo{
				GoVersion: "go1.26.0",
				Main:      debug.Module{Version: "v0.3.1"},
				Settings:  []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "false"}},
			},
			Info{Version: "v0.3.1", Commit: revision, GoVersion: "go1.26.0"},
			"v0.3.1 (0123456789ab) go1.26.0",
		},
		"a dirty tree is said to be modified": {
			debug.BuildInfo{
				GoVersion: "go1.26.0",
				Main:      debug.Module{Version: "(devel)"},
				Settings:  []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
			},
			Info{Version: "(devel)", Commit: "abc", Modified: true, GoVersion: "go1.26.0"},
			"(devel) (abc, modified) go1.26.0",
		},
		"a binary without build information still has an answer": {
			debug.BuildInfo{},
			Info{Version: "(devel)", GoVersion: runtime.Version()},
			"(devel) " + runtime.Version(),
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := describe(&c.build)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("describe (-want +got):\n%s", diff)
			}
			if got.String() != c.text {
				t.Errorf("String() = %q, want %q", got.String(), c.text)
			}
		})
	}
}

func TestVersionOfTheRunningBinary(t *testing.T) {
	if got := Version(); got.Version == "" || got.GoVersion == "" {
		t.Errorf("Version() = %+v, want version and toolchain", got)
	}
}
