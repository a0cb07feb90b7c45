package code

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// sample tells code of PHP that manuals show: several lines of it, in which nothing runs
// code or programs, reads a request, or opens or includes files.
func sample(t *lexicon.Text, lower string) bool {
	if !t.Document() || strings.IndexByte(t.S, '`') >= 0 && !strings.Contains(t.S, "```") {
		return false
	}
	lower = strings.ReplaceAll(lower, "curl_exec(", "") // it sends a request
	at, _ := lexicon.IndexAny(lower, "exec", "eval", "system", "passthru", "popen", "proc_", "assert", "call_user", "create_function",
		"base64_", "gzinflate", "gzuncompress", "rot13", "preg_replace", "phpinfo", "move_uploaded", "dl(", "mail(", "$_", "include",
		"require", "globals", "php://", "${", "$$", "reflection", "fopen", "fputs", "fwrite", "fsockopen", "file_", "readfile", "unserialize",
		"array_map", "array_filter", "sort(", "extract", "parse_str", "\\x", "chr(", "getenv", "set_time_limit", "ini_set", "error_reporting")
	return at < 0 && !calledByName(t.S)
}

// calledByName tells a function that is called by a name in a variable: $f(…).
func calledByName(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		end := lexicon.WordEnd(s, i+1)
		if end > i+1 && end < len(s) && s[end] == '(' {
			return true
		}
		i = max(i, end-1)
	}
	return false
}
