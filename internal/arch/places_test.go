package arch

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A path of one machine or the host of one registry is a broken instruction
// everywhere else. The parts are joined here so that this file has none.
func places() []string {
	join := func(parts ...string) string { return strings.Join(parts, "") }
	return []string{
		join("/wo", "rk/"), join("/ro", "ot/go"), join("/ho", "me/runner"), join("/Us", "ers/"),
		join("/t", "mp/bash"), join("C:", `\Us`, "ers"),
		join("proxy.gol", "ang.org"), join("sum.gol", "ang.org"), join("gop", "roxy.io"),
		join("docker", ".io/"), join("gcr", ".io/"), join("ghcr", ".io/"), join("qu", "ay.io/"),
		join("registry-1", ".docker"), join("registry.npm", "js"), join("py", "pi.org"), join("deb.deb", "ian.org"),
	}
}

func TestRepositoryNamesNoMachineAndNoRegistry(t *testing.T) {
	var looked int
	err := walk(func(name string, _ fs.DirEntry) error {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return nil // not text
		}
		looked++
		for _, place := range namedPlaces(string(text)) {
			t.Errorf("%s names %s", name, place)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 60 {
		t.Errorf("looked at only %d files", looked)
	}
}

func namedPlaces(text string) []string {
	var all []string
	for _, place := range places() {
		if strings.Contains(text, place) {
			all = append(all, place)
		}
	}
	return all
}

func TestNamedPlacesAreFound(t *testing.T) {
	for _, place := range places() {
		if len(namedPlaces("see "+place+"x")) == 0 {
			t.Errorf("%s is not found", place)
		}
	}
	for _, fine := range []string{"identity/workload/", "spiffe://cluster.local/ns/shop", "/src/out/outrider", "golang:1.26"} {
		if found := namedPlaces(fine); len(found) > 0 {
			t.Errorf("%q is taken for %q", fine, found)
		}
	}
}

// Links of the form [text](target), without a scheme.
var link = regexp.MustCompile(`\]\(([^)\s:]+)\)`)

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	var links int
	err := walk(func(name string, _ fs.DirEntry) error {
		if !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(found[1], "#")
			if target == "" {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links < 10 {
		t.Errorf("found only %d links", links)
	}
}

// A document that tells to run a target of the Makefile must be right.
func TestDocumentsNameTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[found[1]] = true
	}
	var named int
	err = walk(func(name string, _ fs.DirEntry) error {
		if !strings.HasSuffix(name, ".md") && name != "Dockerfile" && name != ".ci/run" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, found := range regexp.MustCompile("(?m)(?:`|^    )make ([a-z][a-z0-9-]*)").FindAllStringSubmatch(string(text), -1) {
			named++
			if !targets[found[1]] {
				t.Errorf("%s says make %s, which is no target", name, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named < 5 {
		t.Errorf("found only %d mentions of a target", named)
	}
}
