package proxies

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// debian is where the distribution's packages libnginx-mod-http-modsecurity and
// modsecurity-crs put things.
type debian struct {
	// Module is nginx's module, Library a pattern for the engine's own.
	Module, Library string
	// Setup and Rules are of the core rule set, Unicode maps code points.
	Setup, Rules, Unicode string
}

func debianModSecurity() debian {
	return debian{
		Module:  "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so",
		Library: "/usr/lib/*/libmodsecurity.so.*.*",
		Setup:   "/etc/modsecurity/crs/crs-setup.conf",
		Rules:   "/usr/share/modsecurity-crs/rules",
		Unicode: "/etc/nginx/unicode.mapping",
	}
}

// modsecurity finds the engine and its rules.
type modsecurity struct {
	// root is "" but in tests.
	root string
}

// banner is how every file of the core rule set begins.
var banner = regexp.MustCompile(`Core Rule Set ver\.([0-9.]+[0-9])`)

// maxBanner is how much of a rule file is read for its version, in bytes.
const maxBanner = 1 << 10

// version tells that of the engine and that of the rules. It is ErrAbsent if
// anything of them is missing.
func (m modsecurity) version() (string, error) {
	at := debianModSecurity()
	initialization := filepath.Join(at.Rules, "REQUEST-901-INITIALIZATION.conf")
	for _, file := range []string{at.Module, at.Setup, at.Unicode, initialization} {
		if _, err := os.Stat(m.root + file); err != nil {
			return "", fmt.Errorf("nginx with ModSecurity: %w (Debian's libnginx-mod-http-modsecurity and modsecurity-crs bring it): %w", ErrAbsent, err)
		}
	}
	rules, err := m.rulesVersion(initialization)
	return m.engineVersion(at.Library) + ", CRS " + rules, err
}

// engineVersion is part of the library's name.
func (m modsecurity) engineVersion(pattern string) string {
	libraries, err := filepath.Glob(m.root + pattern)
	if err != nil || len(libraries) == 0 {
		return "ModSecurity 3" // the module would not load without one
	}
	_, version, _ := strings.Cut(filepath.Base(libraries[0]), ".so.")
	return "ModSecurity " + version
}

func (m modsecurity) rulesVersion(file string) (string, error) {
	f, err := os.Open(m.root + file)
	if err != nil {
		return "", fmt.Errorf("read the version of the core rule set: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBanner))
	if err != nil {
		return "", fmt.Errorf("read the version of the core rule set: %w", err)
	}
	found := banner.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("read the version of the core rule set: %s does not tell", file)
	}
	return string(found[1]), nil
}
