// Package buildinfo says which build of Outrider is running. It reads what the
// Go toolchain recorded in the binary, so no linker flags are needed for a
// binary to know its version and commit.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// An Info names one build.
type Info struct {
	// Version is the module version, such as "v0.3.1"; "(devel)" for a build
	// that the toolchain could not name.
	Version string `json:"version"`
	// Commit is the full revision; empty when built outside of a repository.
	Commit string `json:"commit,omitempty"`
	// Modified tells that the tree differed from Commit.
	Modified bool `json:"modified,omitempty"`
	// GoVersion is the toolchain, such as "go1.26.0".
	GoVersion string `json:"go_version"`
}

// Version returns the build of the running binary.
func Version() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return describe(build)
}

func describe(build *debug.BuildInfo) Info {
	info := Info{Version: build.Main.Version, GoVersion: build.GoVersion}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Commit = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	if info.Version == "" {
		info.Version = "(devel)"
	}
	if info.GoVersion == "" {
		info.GoVersion = runtime.Version()
	}
	return info
}

// String renders the build on one line, for version commands and start-up logs.
func (i Info) String() string {
	s := i.Version
	if i.Commit != "" {
		s += " (" + i.ShortCommit()
		if i.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return s + " " + i.GoVersion
}

// ShortCommit is the first twelve digits of Commit, empty when that is.
func (i Info) ShortCommit() string {
	if len(i.Commit) <= 12 {
		return i.Commit
	}
	return i.Commit[:12]
}
