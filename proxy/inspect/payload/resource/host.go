package resource

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

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
	if strings.Count(rest, ":") > 1 { // an address of IPv6 without its brackets
		return rest
	}
	host, _, _ := strings.Cut(rest, ":")
	return strings.TrimSuffix(host, ".")
}

// isMetadata tells the addresses of clouds' metadata services, in the ways they can be
// written (inet_aton(3) takes them all).
func isMetadata(host string) bool {
	switch host {
	case "169.254.169.254", "169.254.170.2", "metadata.google.internal", "metadata", "100.100.100.200", "fd00:ec2::254",
		"2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518", "::ffff:169.254.169.254",
		"::ffff:a9fe:a9fe", "instance-data", "169.254.169.254.nip.io", "0251.254.169.254", "169.254.169.254.xip.io", "192.0.0.192",
		"metadata.azure.internal", "0:0:0:0:0:ffff:a9fe:a9fe", "1ynrnhl.xip.io", "metadata.packet.net",
		"metadata.platformequinix.com", "metadata.tencentyun.com", "rancher-metadata", "0:0:0:0:0:ffff:169.254.169.254":
		return true
	}
	return strings.HasPrefix(host, "169.254.169.254.")
}

// hasMetadataPath tells the paths of metadata services, on whatever host.
func hasMetadataPath(rest string) bool {
	if !strings.Contains(rest, "data") { // which all of them have
		return false
	}
	return strings.Contains(rest, "/latest/meta-data") || strings.Contains(rest, "/computemetadata/v1") ||
		strings.Contains(rest, "/latest/user-data") || strings.Contains(rest, "/metadata/instance?api-version") ||
		strings.Contains(rest, "/openstack/latest/meta_data")
}

// disguisedHost tells hosts that are an address, written so that it is not recognised, in
// ways that inet_aton(3) takes: a number, hexadecimal or octal parts, parts left out; an
// address of IPv4 in one of IPv6 (RFC 4291, 2.5.5); digits and dots that are not those of
// ASCII, which IDNA maps to them (UTS 46).
func disguisedHost(host string) bool {
	switch {
	case host == "0" || host == "127.1" || host == "127.0.1" || host == "::":
		return true
	case strings.HasPrefix(host, "0x"):
		return hexadecimal(host[2:])
	case strings.IndexByte(host, ':') >= 0:
		return carriesIPv4(host)
	}
	return endsInNumber(host) || mapsToAddress(host)
}

// endsInNumber tells hosts whose last label is a number, which makes them an address (URL
// Standard, 3.5), though they are not written as one: parts are missing or octal.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || !allDigits(last) && !(strings.HasPrefix(last, "0x") && hexadecimal(last[2:])) {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err != nil
}

// loopback tells addresses of the machine itself.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}

// firstEphemeral is the lowest port that systems hand out (Linux: 32768), at which native
// applications wait for the answer of a log-in on a loopback address (RFC 8252, 7.3).
const firstEphemeral = 32768

// ephemeral tells whether a URL names such a port. rest is what follows ://.
func ephemeral(rest string) bool {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	port, err := strconv.ParseUint(rest[strings.LastIndexByte(rest, ':')+1:], 10, 16)
	return err == nil && port >= firstEphemeral
}

// confuses tells an authority that readers of URLs split in different places.
func confuses(rest string) bool {
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest = rest[:i]
	}
	at, _ := lexicon.IndexAny(rest, `\@`, "#@", "&@", "?@", "@@", " @")
	return at >= 0
}

// carriesIPv4 tells addresses of IPv6 that are only another way to write one of IPv4.
func carriesIPv4(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if a.Is4In6() {
		return true
	}
	b := a.As16()
	return [12]byte(b[:12]) == [12]byte{} && !a.IsLoopback() ||
		[12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b} // RFC 6052, for translation
}

// mapsToAddress tells hosts of digits and dots of other scripts only.
func mapsToAddress(host string) bool {
	digits, foreign := 0, false
	for _, r := range host {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '.':
		case r == 0x3002, r == 0xff0e, r == 0xff61: // full stops of East Asia
			foreign = true
		case r >= 0xff10 && r <= 0xff19, r >= 0x2460 && r <= 0x249b, r == 0x24ea: // full width, circled and with a stop
			digits++
			foreign = true
		default:
			return false
		}
	}
	return foreign && digits >= 2
}

// standsForAddress tells names of services that answer with the address in the name,
// where that address is not public.
func standsForAddress(host string) bool {
	for _, service := range [...]string{".nip.io", ".xip.io", ".sslip.io", ".localtest.me", ".lvh.me", ".lacolhost.com", ".vcap.me"} {
		name, ok := strings.CutSuffix(host, service)
		if !ok {
			continue
		}
		for _, private := range [...]string{"127.", "10.", "192.168.", "172.", "169.254.", "0.", "7f0000", "localhost", "127-", "10-", "192-168-", "169-254-"} {
			if strings.Contains(name, private) {
				return true
			}
		}
	}
	return false
}

// includes tells the URL of a script on a host without a name, or one that ends in a
// question mark, by which what an application appends becomes a query.
func includes(value, host string) bool {
	value = strings.TrimSpace(value)
	if strings.HasSuffix(value, "?") && strings.Count(value, "?") == 1 && strings.IndexByte(value, ' ') < 0 {
		return true
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return false
	}
	path, _, _ := strings.Cut(value, "?")
	for _, ending := range [...]string{".php", ".asp", ".aspx", ".jsp", ".cgi", ".pl", ".txt", ".sh", ".ps1", ".phtml", ".inc"} {
		if strings.HasSuffix(path, ending) {
			return true
		}
	}
	return false
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
