package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// URLs looks at the URLs of a value.
func URLs(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Colon) || !t.Bytes.Any(lexicon.Slash|lexicon.Semicolon) {
		return
	}
	lower := t.Lower()
	for i := 0; ; {
		next := strings.Index(lower[i:], "://")
		if next < 0 {
			break
		}
		i += next
		start := schemeStart(lower, i)
		judgeURL(t, start, lower[start:i], lexicon.Window(lower, i+3, 256), found)
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

func judgeURL(t *lexicon.Text, at int, scheme, rest string, found *clue.List) {
	size := len(scheme) + 3
	whole := at == 0 && !t.Document()
	host := hostOf(rest)
	switch {
	case dangerous(scheme), whole && reaching(scheme) && rest != "":
		found.Add(clue.URLScheme, at, size)
	case whole && scheme == "file" && (strings.HasPrefix(rest, "/etc/") || strings.HasPrefix(rest, "/proc/") || fileRoot(rest)):
		found.Add(clue.PathToSecret, at, size)
	}
	if !strings.HasPrefix(scheme, "http") && scheme != "ftp" {
		return
	}
	switch {
	case isMetadata(host, rest):
		found.Add(clue.MetadataAddress, at, size+len(host))
	case whole && disguisedHost(host):
		found.Add(clue.URLDisguised, at, size+len(host))
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

// hostOf is the host of what follows ://, without user and port.
func hostOf(rest string) string {
	if i := strings.IndexAny(rest, "/?# \"'<>\\"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if strings.HasPrefix(rest, "[") {
		host, _, _ := strings.Cut(rest[1:], "]")
		return host
	}
	host, _, _ := strings.Cut(rest, ":")
	return strings.TrimSuffix(host, ".")
}

// isMetadata tells the addresses of clouds' metadata services, in the ways they can be
// written (inet_aton(3) takes them all), and their paths on any host.
func isMetadata(host, rest string) bool {
	switch host {
	case "169.254.169.254", "169.254.170.2", "metadata.google.internal", "metadata", "100.100.100.200", "fd00:ec2::254",
		"2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518", "::ffff:169.254.169.254",
		"::ffff:a9fe:a9fe", "instance-data", "169.254.169.254.nip.io", "0251.254.169.254", "169.254.169.254.xip.io", "192.0.0.192",
		"metadata.azure.internal", "0:0:0:0:0:ffff:a9fe:a9fe", "1ynrnhl.xip.io":
		return true
	}
	return strings.Contains(rest, "/latest/meta-data") || strings.Contains(rest, "/computemetadata/v1") ||
		strings.Contains(rest, "/latest/user-data") || strings.Contains(rest, "/metadata/instance?api-version")
}

// disguisedHost tells hosts that are an address, written so that it is not recognised, in
// ways that inet_aton(3) takes: a number, hexadecimal or octal parts, parts left out.
func disguisedHost(host string) bool {
	switch {
	case host == "0" || host == "127.1" || host == "127.0.1" || strings.HasPrefix(host, "::ffff:"):
		return true
	case strings.HasPrefix(host, "0x"):
		return hexadecimal(host[2:])
	case strings.HasPrefix(host, "0177."):
		return true
	}
	return len(host) > 7 && allDigits(host)
}

func hexadecimal(s string) bool {
	for i := range len(s) {
		if !lexicon.IsHex(s[i]) && s[i] != '.' && s[i] != 'x' {
			return false
		}
	}
	return len(s) > 1
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !lexicon.IsDigit(s[i]) {
			return false
		}
	}
	return true
}
