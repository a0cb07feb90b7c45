package conformance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outrider-mesh/outrider/internal/child"
)

// nginx runs the program in the foreground, with one worker, as the current user
// and on ports that the system chose, until the test ends. In the configuration
// {dir} is a directory of its own, {listen0} the address of the first listener,
// and so on; it returns the directory and the addresses.
//
// The sockets are opened here and inherited, so that no other process can take a
// port in between, and no client has to wait for the program.
func nginx(t *testing.T, listeners int, http string, more ...string) (dir string, addrs []string) {
	t.Helper()
	dir = t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	cmd := exec.Command(program(t, "nginx"), "-p", dir, "-e", "stderr", "-c", config)
	cmd.Env = []string{"NGINX="}
	replace := append([]string{"{dir}", dir}, more...)
	for i := range listeners {
		f, addr := inheritable(t)
		defer f.Close() // the child has its own by then
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		cmd.Env[0] += fmt.Sprintf("%d;", 3+i) // ExtraFiles begin with descriptor 3
		addrs = append(addrs, addr)
		replace = append(replace, fmt.Sprintf("{listen%d}", i), addr)
	}
	writeFile(t, config, []byte(strings.NewReplacer(replace...).Replace(nginxFrame(http))))
	c, err := child.Start("nginx", cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
		c.Close()
		if t.Failed() {
			t.Logf("nginx said:\n%s", c.Output())
		}
	})
	return dir, addrs
}

// inheritable is a listening socket for another process.
func inheritable(t *testing.T) (f *os.File, addr string) {
	t.Helper()
	ln := listen(t)
	defer ln.Close() // what connects from now on is for the other process
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	return f, ln.Addr().String()
}

// nginxFrame is what every configuration has.
func nginxFrame(http string) string {
	user := ""
	if syscall.Geteuid() == 0 {
		user = "user root root;" // else the worker gives up the rights to read our directory
	}
	return user + `
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
` + http + `
}
`
}

// mkdir makes a directory for nginx to serve.
func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
