package proxies

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/test/peers/pki"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func identity(name string) pki.Files {
	return pki.Files{
		Cert: "/pki/" + name + ".pem", Key: "/pki/" + name + "-key.pem", Both: "/pki/" + name + "-both.pem",
		CA: "/pki/ca.pem", ID: "spiffe://bench.test/ns/bench/sa/" + name, DNSName: name + ".bench.test",
	}
}

// TestWhatEachProgramIsTold keeps one golden file per program: how both sides
// are started and every file written for them.
func TestWhatEachProgramIsTold(t *testing.T) {
	catalogue := Catalogue(Paths{Outrider: "/outrider", Envoy: "/envoy", Self: "/peers"})
	if len(catalogue) < 10 {
		t.Fatalf("only %d programs", len(catalogue))
	}
	for _, entry := range catalogue {
		t.Run(entry.Name, func(t *testing.T) {
			var b strings.Builder
			for _, workers := range []int{0, 1} {
				for _, outbound := range []bool{true, false} {
					side := Side{
						Outbound: outbound, Listen: "127.0.0.1:1001", Upstream: "127.0.0.1:1002", Dir: t.TempDir(),
						Workers: workers, Identity: identity("client"), Peer: identity("server"),
					}
					if !outbound {
						side.Identity, side.Peer = side.Peer, side.Identity
					}
					command, err := entry.Program.Command(Install{Path: "/" + entry.Name}, side)
					if err != nil {
						t.Fatal(err)
					}
					text := describe(t, command, side)
					b.WriteString(strings.ReplaceAll(text, side.Dir, "/dir"))
				}
			}
			golden(t, entry.Name+".txt", b.String())
		})
	}
}

func describe(t *testing.T, command Command, side Side) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "===== %s, %d workers\n$ %s\n", side.Name(), side.Workers,
		strings.Join(append(append(command.Env, command.Path), command.Args...), " "))
	err := filepath.WalkDir(side.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "----- %s\n%s", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, diff)
	}
}

func TestAbsentProgramsSaySo(t *testing.T) {
	// Nothing is on an empty PATH, neither Envoy nor the Python that knows one.
	t.Setenv("PATH", t.TempDir())
	for _, entry := range Catalogue(Paths{Outrider: filepath.Join(t.TempDir(), "outrider")}) {
		if _, err := entry.Program.Locate(t.Context()); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: error is %v, want one that is ErrAbsent", entry.Name, err)
		}
	}
}

func TestVersionsAreAskedForAndTrimmed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	script := func(name, says string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+says+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script("nginx", `[ "$1" = -v ] && echo "nginx version: nginx/1.22.1" >&2`)
	script("stunnel4", `[ "$1" = -version ] && echo "Initializing inetd mode" >&2 && echo "stunnel 5.68 on x86_64" >&2`)
	script("haproxy", `[ "$1" = -v ] && echo "HAProxy version 2.6.12-1 2026/10/17 - https://haproxy.org/" && echo more`)
	paths := Paths{
		Outrider: script("outrider", `[ "$1" = version ] && echo && echo "outrider v1"`),
		Envoy:    script("envoy-binary", `echo; echo "x  version: abc/1.40.0/Clean/RELEASE/BoringSSL"`),
		Self:     "/self",
	}
	want := map[string]string{
		"nginx": "nginx/1.22.1", "haproxy": "haproxy/2.6.12-1", "outrider": "outrider v1",
		"envoy": "envoy/1.40.0/Clean/RELEASE/BoringSSL", "stunnel": "stunnel/5.68",
		"outrider+waf": "outrider v1, profile crs", "outrider+waf-mesh": "outrider v1, profile mesh",
	}
	for _, entry := range Catalogue(paths) {
		install, err := entry.Program.Locate(t.Context())
		if entry.Name == "nginx+modsecurity" && errors.Is(err, ErrAbsent) {
			continue // its files are looked for where the distribution puts them
		}
		if err != nil {
			t.Errorf("%s: %v", entry.Name, err)
		}
		if version, ok := want[entry.Name]; ok && install.Version != version {
			t.Errorf("%s: version is %q, want %q", entry.Name, install.Version, version)
		}
	}
}

// debianTree lays out what Debian's packages install.
func debianTree(t *testing.T, banner string) modsecurity {
	t.Helper()
	m, at := modsecurity{root: t.TempDir()}, debianModSecurity()
	for file, text := range map[string]string{
		at.Module: "", at.Setup: "", at.Unicode: "", "/usr/lib/x86_64-linux-gnu/libmodsecurity.so.3.0.9": "",
		at.Rules + "/REQUEST-901-INITIALIZATION.conf": banner,
	} {
		if err := os.MkdirAll(filepath.Dir(m.root+file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.root+file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestModSecuritySaysWhichEngineAndRulesItHas(t *testing.T) {
	const banner = "# ----\n# OWASP ModSecurity Core Rule Set ver.3.3.4\n# Copyright"
	m := debianTree(t, banner)
	if version, err := m.version(); err != nil || version != "ModSecurity 3.0.9, CRS 3.3.4" {
		t.Errorf("%q, %v", version, err)
	}
	for _, file := range []string{debianModSecurity().Module, debianModSecurity().Setup, debianModSecurity().Unicode} {
		m := debianTree(t, banner)
		if err := os.Remove(m.root + file); err != nil {
			t.Fatal(err)
		}
		if _, err := m.version(); !errors.Is(err, ErrAbsent) {
			t.Errorf("without %s: %v, want ErrAbsent", file, err)
		}
	}
	if _, err := debianTree(t, "# nothing").version(); err == nil || errors.Is(err, ErrAbsent) {
		t.Errorf("rules that tell no version: %v, want an error that is not ErrAbsent", err)
	}
}

// What inspects is compared with what does not, and what can't inspect says why.
func TestTheCatalogueHoldsTogether(t *testing.T) {
	entries := map[string]Entry{}
	inspecting, silent := 0, 0
	for _, entry := range Catalogue(Paths{}) {
		entries[entry.Name] = entry
	}
	for name, entry := range entries {
		if !entry.Inspects {
			if entry.NoInspection != "" {
				silent++
			}
			continue
		}
		inspecting++
		if without, ok := entries[entry.Without]; !ok || without.Inspects {
			t.Errorf("%s is compared with %q, which is nothing without inspection", name, entry.Without)
		}
	}
	if inspecting < 4 || silent < 2 {
		t.Errorf("%d programs inspect, %d say why not", inspecting, silent)
	}
}

func TestAScriptIsNotTakenForEnvoy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	path := filepath.Join(dir, "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho envoy\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (envoy{}).Locate(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Errorf("error is %v, want one that is ErrAbsent", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !isELF(self) || isELF(path) || isELF(filepath.Join(dir, "nothing")) {
		t.Error("isELF does not tell a program from a script or from nothing")
	}
}
