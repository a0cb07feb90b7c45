package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// secrets looks for files that hold secrets of a system, in short values: those who
// write about them use more words.
func secrets(t *lexicon.Text, target bool, found *clue.List) {
	if len(t.S) > 512 || t.Document() {
		return
	}
	lower := lexicon.FoldASCII(t.S)
	plain := strings.ReplaceAll(strings.ReplaceAll(lower, "/./", "/"), "//", "/")
	if at, _ := lexicon.IndexAny(plain, "etc/passwd", "etc/shadow", "etc/group", "etc/hosts", "etc/issue", "etc/sudoers", "etc/fstab",
		"etc/resolv.conf", "etc/crontab", "etc/mysql/my.cnf", "etc/httpd/", "etc/apache2/", "etc/nginx/nginx.conf", "etc/ssh/",
		"etc/my.cnf", "etc/master.passwd", "etc\\passwd", "proc/self/", "proc/version", "proc/sys/", "proc/cpuinfo", "proc/1/", "proc/net/",
		"proc/mounts", "windows/win.ini", "windows\\win.ini", "winnt/win.ini", "winnt\\win.ini", "windows/system32/",
		"windows\\system32\\", "boot.ini", "system32/drivers/etc", "system32\\drivers\\etc", "/web-inf/", "web-inf/web.xml",
		"web-inf\\web.xml", "/var/log/apache", "/var/log/httpd", "/var/log/nginx", "/var/log/auth.log", ".ssh/id_", ".ssh/authorized_keys",
		".aws/credentials", "/.bash_history", "/var/run/secrets/kubernetes.io", "/etc/kubernetes/admin.conf", "/root/.ssh",
		"/.docker/config.json", "inetpub\\wwwroot\\web.config", "inetpub/wwwroot/web.config", "/var/lib/mlocate", "/usr/local/tomcat/conf"); at >= 0 {
		if target || fewWords(t.S) && !mounted(plain[at:]) {
			found.Add(clue.PathToSecret, 0, len(t.S))
		}
	}
}

// mounted tells the directory into which every pod's token is mounted, as its manifest and
// the keys of its managed fields say, and no file in it.
func mounted(path string) bool {
	rest, ok := strings.CutPrefix(path, "/var/run/secrets/kubernetes.io/serviceaccount")
	rest = strings.TrimPrefix(rest, "/")
	return ok && (rest == "" || strings.IndexByte("\"'}", rest[0]) >= 0) && strings.IndexByte(rest, '/') < 0
}

// fewWords tells a value that is a path, or an attack around one, and no sentence.
func fewWords(s string) bool { return strings.Count(s, " ") <= 6 }

// probes are requests for files that lie beside those which are served: those of
// version control, of configuration and of backups.
func probes(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if at, _ := lexicon.IndexAny(lower, "/.git/", "/.svn/", "/.hg/", "/.env", "/.aws/", "/.ssh/", "/.htaccess", "/.htpasswd",
		"/.ds_store", "/.idea/", "/.vscode/", "/.npmrc", "/.dockerenv", "/.docker/", "/.bash_history", "/wp-config.php",
		"/web.config", "/.kube/", "/id_rsa", "/phpinfo.php", "/.mysql_history", "/etc/passwd", "/web-inf/", "/.pgpass",
		"/phpmyadmin/", "/.netrc", "/proc/self/", "/cmd.exe", "/boot.ini", "/win.ini", "/wp-content/debug.log", "/wp-content/error"); at >= 0 {
		found.Add(clue.PathProbe, at, 5)
		return
	}
	if i := strings.LastIndexByte(lower, '.'); i >= 0 && backup(lower, i) {
		found.Add(clue.PathProbe, 0, len(lower))
	}
	// RFC 8615 gives one hidden directory at the root a meaning.
	if strings.HasPrefix(lower, "/.") && len(lower) > 4 && lexicon.IsLetter(lower[2]) && !strings.HasPrefix(lower, "/.well-known") {
		found.Add(clue.PathHidden, 0, len(lower))
	}
}
