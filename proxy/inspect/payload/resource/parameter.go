package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestPath bounds a parameter that is taken for one path: PATH_MAX of Windows.
const longestPath = 260

// parameter looks at a value that is one path and nothing else, where a caller enters
// it. Documents are full of paths, which links, mounts and imports have; where a caller
// names a file by itself, few of them are what a service was made to serve.
func parameter(t *lexicon.Text, found *clue.List) {
	s := strings.Trim(t.S, " \t\r\n\"'")
	if len(s) < 3 || len(s) > longestPath || t.Bytes.Any(lexicon.Less|lexicon.Pipe|lexicon.Semicolon) {
		return
	}
	if s[0] == '.' && strings.IndexByte(s, ' ') < 0 && !served(s) {
		if c := climbAt(s, 0); c.steps > 0 && c.steps < deepClimb {
			found.Add(clue.PathUp, 0, len(t.S))
		}
	}
	if isAbsolute(s) {
		absolute(strings.ReplaceAll(lexicon.FoldASCII(s), `\`, "/"), t, found)
	}
	if hidden(s) {
		found.Add(clue.PathHidden, 0, len(t.S))
	}
}

func isAbsolute(s string) bool {
	return s[0] == '/' || s[0] == '\\' || s[1] == ':' && lexicon.IsLetter(s[0])
}

func absolute(path string, t *lexicon.Text, found *clue.List) {
	switch {
	case administrative(path):
		found.Add(clue.PathToSecret, 0, len(t.S))
	case ofSystem(path):
		found.Add(clue.PathSystem, 0, len(t.S))
	}
}

// served tells files that browsers are sent, and what they are made from: source maps and
// imports name them relative to each other.
func served(path string) bool {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	i := strings.LastIndexByte(name, '.')
	if i <= 0 {
		return strings.Contains(path, "/node_modules/")
	}
	switch lexicon.FoldASCII(name[i:]) {
	case ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".css", ".scss", ".less", ".map", ".vue", ".svg", ".png", ".jpg", ".gif", ".md",
		".html", ".go", ".rs", ".java", ".proto":
		return true
	}
	return false
}

// administrative tells the shares of Windows that only administrators reach: //host/c$/.
func administrative(path string) bool {
	if !strings.HasPrefix(path, "//") {
		return false
	}
	_, share, ok := strings.Cut(path[2:], "/")
	if !ok {
		return false
	}
	share, _, _ = strings.Cut(share, "/")
	return len(share) > 1 && strings.HasSuffix(share, "$")
}

// ofSystem tells files where Linux (hier(7)) and Windows keep what runs them, and what
// web servers write.
func ofSystem(path string) bool {
	if programs, ok := strings.CutPrefix(path, "c:/program files"); ok {
		at, _ := lexicon.IndexAny(programs, "/apache", "/mysql", "/mariadb", "/postgresql", "/php", "/filezilla", "/tomcat", "/xampp", "/nginx")
		return at >= 0 || strings.Trim(programs, " (x86)/") == ""
	}
	if strings.IndexByte(path, ' ') >= 0 {
		return false
	}
	for _, root := range [...]string{
		"/etc/", "/proc/", "/sys/", "/boot/", "/root/", "/var/log/", "/var/www/", "/var/spool/", "/var/mail/", "/var/adm/",
		"/usr/local/etc/", "/usr/local/apache", "/usr/local/nginx/", "/opt/lampp/", "/opt/tomcat/", "/private/etc/", "/.dockerenv",
		"c:/windows/", "c:/winnt/", "c:/inetpub/", "c:/xampp/", "c:/wamp", "c:/boot", "c:/users/admin",
		"c:/documents and settings/admin", "c:/apache",
	} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return false
}

// hidden tells names that lie beside those which are served: of version control, of
// configuration and of backups.
func hidden(path string) bool {
	last := -1
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if (i == 0 || path[i-1] == '/' || path[i-1] == '\\') && hiddenName(path[i:]) {
			return true
		}
		last = i
	}
	return last > 0 && backup(path, last)
}

func hiddenName(s string) bool {
	end := 1
	for end < len(s) && strings.IndexByte("/\\.~", s[end]) < 0 {
		end++
	}
	switch lexicon.FoldASCII(s[:end]) {
	case ".git", ".svn", ".hg", ".env", ".htaccess", ".htpasswd", ".ds_store", ".aws", ".ssh", ".npmrc", ".netrc", ".pgpass",
		".docker", ".kube", ".bash_history", ".dockerenv", ".idea", ".vscode":
		return true
	}
	return false
}

// backup tells copies of sources and dumps of databases by their endings, of which the
// last one begins at i.
func backup(path string, i int) bool {
	switch lexicon.FoldASCII(path[i:]) {
	case ".php~", ".bak", ".swp", ".old", ".save", ".source", ".orig", ".gz", ".zip", ".tar", ".tgz", ".bz2", ".7z":
	default:
		return false
	}
	lower := lexicon.FoldASCII(path)
	for _, ending := range [...]string{
		".php~", ".php.bak", ".php.swp", ".php.old", ".php.save", ".php.source", ".php.orig", ".jsp.bak", ".asp.bak", ".aspx.bak",
		".sql.gz", ".sql.bak", ".sql.zip", ".sql.tar", ".sql.tgz", ".sql.tar.gz", ".sql.bz2", ".sql.7z", ".config.bak", ".env.bak",
	} {
		if strings.HasSuffix(lower, ending) {
			return strings.IndexByte(path, ' ') < 0
		}
	}
	return false
}
