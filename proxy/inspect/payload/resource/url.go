package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// URLs looks at the URLs of a value. Target tells that the value is the path of the request
// itself, of which some proxies take a URL.
func URLs(t *lexicon.Text, target bool, found *clue.List) {
	if !t.Bytes.Any(lexicon.Colon) || !t.Bytes.Any(lexicon.Slash|lexicon.Semicolon) {
		return
	}
	lower := t.Lower()
	metadata := hasMetadataPath(lower)
	for i := 0; ; {
		next := strings.Index(lower[i:], "://")
		if next < 0 {
			break
		}
		i += next
		start := schemeStart(lower, i)
		u := address{at: start, metadata: metadata, scheme: lower[start:i], rest: lexicon.Window(lower, i+3, 256)}
		u.whole = start == 0 && !t.Document() || target && start > 0 && lower[start-1] == '/'
		u.judge(t, found)
		i += 3
	}
	for _, form := range []string{"expect:", "php:filter", "data:text/plain;base64,pd9", "data:;base64,pd9", "data:text/plain,<?"} {
		if strings.HasPrefix(lower, form) {
			found.Add(clue.URLScheme, 0, len(form))
		}
	}
}

func schemeStart(s string, i int) int {
	for i > 0 && (lexicon.IsWord(s[i-1]) || strings.IndexByte("+.-:", s[i-1]) >= 0) {
		i--
	}
	return i
}

// An address is a URL in a value.
type address struct {
	at           int
	scheme, rest string // in lower case, without what is between them
	// whole tells that the value begins with it.
	whole bool
	// metadata tells that the value has a path of a metadata service somewhere.
	metadata bool
}

func (u address) judge(t *lexicon.Text, found *clue.List) {
	size := len(u.scheme) + 3
	host := hostOf(u.rest)
	switch {
	case dangerous(u.scheme), u.whole && reaching(u.scheme) && u.rest != "":
		found.Add(clue.URLScheme, u.at, size)
	case u.whole && u.scheme == "file" && (strings.HasPrefix(u.rest, "/etc/") || strings.HasPrefix(u.rest, "/proc/") || fileRoot(u.rest)):
		found.Add(clue.PathToSecret, u.at, size)
	}
	web := strings.HasPrefix(u.scheme, "http") || u.scheme == "ftp"
	if (isMetadata(host) || u.metadata && hasMetadataPath(u.rest)) && (web || host != "" && !lexicon.IsLetter(host[0])) {
		found.Add(clue.MetadataAddress, u.at, size+len(host))
		return
	}
	if !u.whole || !web {
		return
	}
	switch {
	case disguisedHost(host), confuses(u.rest):
		found.Add(clue.URLDisguised, u.at, size+len(host))
	case t.Entered && (standsForAddress(host) || loopback(host) && !ephemeral(u.rest)):
		found.Add(clue.URLInternal, u.at, size+len(host))
	case t.Entered && includes(t.S, host):
		found.Add(clue.URLInclusion, u.at, size+len(host))
	}
}

// dangerous tells schemes that no service hands to another, wherever they stand.
func dangerous(scheme string) bool {
	switch scheme {
	case "gopher", "dict", "phar", "expect", "netdoc", "php", "jar:http", "jar:https", "jar:file", "zlib", "compress.zlib",
		"compress.bzip2", "ogg", "ssh2.exec", "rar", "glob", "corbaname", "view-source:file", "local_file":
		return true
	}
	return strings.HasSuffix(scheme, ":gopher") || strings.HasSuffix(scheme, "phar")
}

// reaching tells schemes that a service is configured with and no caller chooses.
func reaching(scheme string) bool {
	switch scheme {
	case "ldap", "ldaps", "rmi", "tftp", "sftp", "iiop", "dns", "nfs", "telnet", "zip", "data", "mhtml", "netloc":
		return true
	}
	return false
}

func fileRoot(rest string) bool {
	return strings.HasPrefix(rest, "/c:") || strings.HasPrefix(rest, "c:") || strings.HasPrefix(rest, "/root/") ||
		strings.HasPrefix(rest, "/var/www") || strings.HasPrefix(rest, "localhost/etc") || strings.HasPrefix(rest, "/windows/") ||
		strings.HasPrefix(rest, "/home/")
}
