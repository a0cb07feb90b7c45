package capture

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Servers as Debian ships them, with data of their own, which live as long as the
// test.

// dataFor makes a directory that belongs to a user of the system.
func dataFor(t *testing.T, name string) (dir string, uid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir, err = os.MkdirTemp(filepath.Dir(file(t, "outrider")), name+"-") //nolint:usetesting // other users can't enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return dir, uid
}

// await runs a command in the pod until it succeeds.
func (p *pod) await(t *testing.T, user int, argv ...string) {
	t.Helper()
	testkit.Eventually(t, strings.Join(argv, " "), func() bool {
		_, status := p.run(t, user, argv...)
		return status == 0
	})
}

func (p *pod) serveRedis(t *testing.T, port string) {
	t.Helper()
	netns.NeedsProgram(t, "redis-server")
	netns.NeedsProgram(t, "redis-cli")
	dir, uid := dataFor(t, "redis")
	p.start(t, uid, nil, "redis-server", "--port", port, "--bind", "* -::*", "--protected-mode", "no", "--dir", dir, "--save", "")
	p.await(t, application, "redis-cli", "-p", port, "ping")
}

// postgresProgram finds what Debian keeps out of the path.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return slices.Max(found)
	}
	return netns.NeedsProgram(t, name)
}

func (p *pod) servePostgres(t *testing.T) {
	t.Helper()
	netns.NeedsProgram(t, "psql")
	server := postgresProgram(t, "postgres")
	dir, uid := dataFor(t, "postgres")
	p.must(t, uid, postgresProgram(t, "initdb"), "--pgdata", dir, "--auth", "trust", "--username", "shop", "--no-sync")
	hba := "host all all all trust\nlocal all all trust\n"
	if err := os.WriteFile(filepath.Join(dir, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start(t, uid, nil, server, "-D", dir, "-h", "*", "-k", dir, "-c", "fsync=off")
	p.await(t, application, "psql", "-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-c", "select 1")
}

func (p *pod) serveMySQL(t *testing.T) {
	t.Helper()
	install := netns.NeedsProgram(t, "mariadb-install-db")
	server, err := exec.LookPath("mariadbd")
	if err != nil {
		server = "/usr/sbin/mariadbd"
	}
	netns.NeedsProgram(t, "mysql")
	dir, uid := dataFor(t, "mysql")
	p.must(t, uid, install, "--no-defaults", "--datadir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-log-bin")
	script := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(script, []byte("CREATE USER shop@'%';\nCREATE DATABASE shop;\nGRANT ALL ON shop.* TO shop@'%';\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start(t, uid, nil, server, "--no-defaults", "--datadir="+dir, "--socket="+filepath.Join(dir, "socket"),
		"--pid-file="+filepath.Join(dir, "pid"), "--bind-address=*", "--port=3306", "--init-file="+script, "--skip-log-bin")
	p.await(t, application, "mysql", "--no-defaults", "-h", "127.0.0.1", "-P", "3306", "-u", "shop", "-e", "select 1", "shop")
}

func TestUnmodifiedClientsReachUnmodifiedServers(t *testing.T) {
	m := newMesh(t, options{})
	ip, v6 := m.payments.ip, m.payments.v6
	cases := []struct {
		name  string
		serve func(*testing.T)
		port  int
		// client reads what another connection of it has written.
		write, read func(host string) []string
		want        string
	}{
		{
			"redis", func(t *testing.T) { m.payments.serveRedis(t, "6379") }, 6379,
			func(host string) []string { return []string{"redis-cli", "-h", host, "set", "k", "it is here"} },
			func(host string) []string { return []string{"redis-cli", "-h", host, "get", "k"} },
			"it is here\n",
		},
		{
			"PostgreSQL", m.payments.servePostgres, 5432,
			func(host string) []string {
				return []string{"psql", "-h", host, "-U", "shop", "-d", "postgres", "-c", "create table if not exists t as select 'it is here' as v"}
			},
			func(host string) []string {
				return []string{"psql", "-h", host, "-U", "shop", "-d", "postgres", "-Atc", "select v from t"}
			},
			"it is here\n",
		},
		{
			"MySQL", m.payments.serveMySQL, 3306,
			func(host string) []string {
				return []string{"mysql", "--no-defaults", "-h", host, "-u", "shop", "-e", "create table if not exists t as select 'it is here' as v", "shop"}
			},
			func(host string) []string {
				return []string{"mysql", "--no-defaults", "-h", host, "-u", "shop", "-N", "-e", "select distinct v from t", "shop"}
			},
			"it is here\n",
		},
	}
	if len(cases) < 3 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.serve(t)
			for _, host := range []string{ip, v6} {
				m.checkout.must(t, application, c.write(host)...)
				if out := m.checkout.must(t, application, c.read(host)...); out != c.want {
					t.Errorf("%s: %q, want %q", host, out, c.want)
				}
			}
			for _, original := range []string{fmt.Sprintf("%s:%d", ip, c.port), fmt.Sprintf("[%s]:%d", v6, c.port)} {
				for direction, w := range map[string]*workload{"outbound": m.checkout, "inbound": m.payments} {
					r := w.record(t, direction, original)
					if r["protocol"] != "tcp" || r["security"] != "mutual_tls" || refused(r) || member(r, "source", "id") != checkout {
						t.Errorf("%s: %v", direction, r)
					}
				}
			}
		})
	}
}
