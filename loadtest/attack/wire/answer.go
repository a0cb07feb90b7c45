package wire

import (
	"net/http"
	"strings"
	"time"
)

// An Answer is what came back.
type Answer struct {
	Status int
	// Reason is why an Outrider refused, in its own word; empty where none did.
	Reason string
	// Decision is the id under which the Outrider has written that down.
	Decision string
	// Took is from the first byte that was sent to the last that was read, on an
	// open connection.
	Took time.Duration
}

func answerOf(res *http.Response) Answer {
	return Answer{
		Status:   res.StatusCode,
		Reason:   refusal(res.Header.Values("Proxy-Status")),
		Decision: printable(res.Header.Get("X-Outrider-Decision")),
	}
}

// refusal finds an Outrider's reason in Proxy-Status: the details of a member
// named outrider that has an error (RFC 9209 §2.1). Of several members the last
// is the nearest to us, and the one that refused is the only one with an error.
func refusal(values []string) string {
	for _, member := range members(strings.Join(values, ",")) {
		name, details, failed := "", "", false
		for i, part := range split(member, ';') {
			key, value, _ := strings.Cut(part, "=")
			switch {
			case i == 0:
				name = part
			case key == "error":
				failed = true
			case key == "details":
				details = strings.Trim(value, `"`)
			}
		}
		if name == "outrider" && failed {
			return printable(details)
		}
	}
	return ""
}

func members(list string) []string { return split(list, ',') }

// split cuts a structured field (RFC 9651) at a separator, but not within quotes.
func split(text string, at byte) []string {
	var parts []string
	from, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped
		case c == '"':
			quoted = !quoted
		case c == at && !quoted:
			parts = append(parts, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[from:]))
}

// printable is a word of an Outrider, or nothing: whoever answers may say what he
// likes, and it is going to be printed.
func printable(word string) string {
	const longest = 64
	if len(word) > longest || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return ""
	}
	return word
}
