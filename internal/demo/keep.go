package demo

import (
	"context"
	"path/filepath"
	"strings"
)

// keep prints what there is to try, and waits until the context ends.
func (s *scene) keep(ctx context.Context) {
	shop, intruder := s.shop(), "http://"+s.intruder.outbound()
	s.line("")
	s.line("%s", s.paint(bold, "The mesh goes on running. Try:"))
	for _, try := range [][2]string{
		{"an allowed call through all three services", "curl '" + shop + "?item=teapot'"},
		{"an SQL injection", "curl '" + shop + "?item=1%27%20OR%20%271%27=%271'"},
		{"the intruder", "curl -i " + intruder + "/v1/charges"},
		{"plaintext to payments' mutual TLS port", "curl -i http://" + s.payments.inbound() + "/v1/charges"},
		{"a method that checkout may not use; edit its policy meanwhile", "curl -i -X DELETE http://" + s.checkout.outbound() + "/v1/charges/42"},
		{"the decisions of payments' sidecar", "tail -f " + s.payments.path(accessFile)},
		{"its state, and its metrics", "curl http://" + s.payments.sidecar.AdminAddress() + "/config_dump\ncurl http://" + s.payments.sidecar.MetricsAddress() + "/metrics"},
		{"the policies of all, to edit", "ls " + filepath.Join(s.policies(), "*.yaml")},
		{"the sidecars' own files", "ls " + filepath.Join(s.dir, "*", configFile)},
	} {
		s.line("")
		s.line("   %s", s.paint(dim, "# "+try[0]))
		for command := range strings.SplitSeq(try[1], "\n") {
			s.line("   %s", command)
		}
	}
	s.line("")
	s.line("Ctrl-C ends it and removes its files.")
	<-ctx.Done()
	s.line("")
	s.line("Stopping.")
}
