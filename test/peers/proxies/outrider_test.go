package proxies

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestTheSidecarsFilesAreAcceptedWithoutAWarning(t *testing.T) {
	for _, outbound := range []bool{true, false} {
		side := Side{
			Outbound: outbound, Listen: "127.0.0.1:1001", Upstream: "127.0.0.1:1002", Dir: t.TempDir(),
			Identity: identity("client"), Peer: identity("server"),
		}
		command, err := (outrider{}).Command(Install{Path: "/outrider"}, side)
		if err != nil {
			t.Fatal(err)
		}
		_, problems, err := config.LoadSidecar(command.Args[len(command.Args)-1])
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", side.Name(), err, problems)
		}
		if outbound {
			continue
		}
		path := filepath.Join(side.Dir, "policies", "allow.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := config.ParseDocuments([]config.File{{Name: path, Data: text}})
		if err != nil || len(documents.Warnings) > 0 || len(documents.Access) != 1 {
			t.Errorf("policy: %v, %+v", err, documents)
		}
	}
}
