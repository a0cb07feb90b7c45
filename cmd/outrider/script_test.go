package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/internal/testkit/session"
)

var update = flag.Bool("update", false, "rewrite the golden files in the sessions")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"outrider": main})
}

// TestScripts runs the sessions in testdata/script, each a command line user's
// point of view.
func TestScripts(t *testing.T) {
	const least = 18
	session.Run(t, least, *update, session.Commands{
		"svid": svid, "port": port, "expand": expand, "await": await, "terminate": terminate, "cling": cling, "decision": decision,
	})
}

// svid ID writes an SVID of a development CA to svid.pem, key.pem and
// bundle.pem.
func svid(ts *testscript.TestScript, _ bool, args []string) {
	id, err := spiffeid.FromString(strings.Join(args, " "))
	ts.Check(err)
	ca, err := devca.New(devca.Options{TrustDomain: id.TrustDomain(), Warn: io.Discard})
	ts.Check(err)
	issued, err := ca.Issue(id, devca.IssueOptions{})
	ts.Check(err)
	chain, key, err := issued.Marshal()
	ts.Check(err)
	var bundle []byte
	for _, root := range ca.Bundle().X509Authorities() {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	for name, data := range map[string][]byte{"svid.pem": chain, "key.pem": key, "bundle.pem": bundle} {
		ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600))
	}
}

// port VARIABLE... sets variables to ports that are free at the moment.
func port(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		_, p, err := net.SplitHostPort(l.Addr().String())
		ts.Check(err)
		ts.Setenv(name, p)
	}
}

// expand FILE... replaces $VARIABLE in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// cling ADDRESS makes a plaintext call and keeps its connection open after the
// answer.
func cling(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.Dial("tcp", strings.Join(args, " "))
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	ts.Check(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	ts.Check(err)
	answer, err := io.ReadAll(conn)
	ts.Check(err)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") {
		ts.Fatalf("the answer is %q", answer)
	}
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// await URL STATUS asks until the answer has the status.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await url status")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for last != args[1] {
		select {
		case <-tick.C:
			last = statusOf(ctx, client, args[0])
		case <-ctx.Done():
			ts.Fatalf("%s is answered with %s, want %s", args[0], last, args[1])
		}
	}
}

// decision VARIABLE URL sets the variable to the id of the newest refusal, as soon as
// there is one: it is written down when the answer is on its way.
func decision(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: decision variable url")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if id := newestDecision(ctx, ts, args[1]); id != "" {
			ts.Setenv(args[0], id)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s has no decisions", args[1])
		}
	}
}

func newestDecision(ctx context.Context, ts *testscript.TestScript, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	ts.Check(err)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	var records []struct {
		ID string `json:"decision_id"`
	}
	ts.Check(json.NewDecoder(res.Body).Decode(&records))
	if len(records) == 0 {
		return ""
	}
	return records[0].ID
}

func statusOf(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	return fmt.Sprint(res.StatusCode)
}
