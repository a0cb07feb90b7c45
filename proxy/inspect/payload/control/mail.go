package control

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// mailLines is the most lines of a value that is looked at: records of conversations with
// mail servers have more, and stand in documents.
const mailLines = 8

// mail looks for a line end and a command of SMTP (RFC 5321, 4.1.1), IMAP (RFC 9051, 6) or
// POP3 (RFC 1939) behind it: a value that becomes the argument of one.
func mail(t *lexicon.Text, found *clue.List) {
	s := t.S
	if t.Lines() > mailLines || len(s) > 512 {
		return
	}
	if t.Entered && (strings.HasPrefix(s, "RCPT TO:") || strings.HasPrefix(s, "MAIL FROM:")) {
		found.Add(clue.MailCommand, 0, 8)
		return
	}
	for i := range len(s) {
		if s[i] != '\n' && s[i] != '\r' {
			continue
		}
		line := strings.TrimLeft(lexicon.Window(s, i, 128), "\r\n")
		end := strings.IndexAny(line, "\r\n")
		if end < 0 {
			end = len(line)
		}
		if smtp(line[:end]) || imap(line[:end]) || pop3(line[:end]) {
			found.Add(clue.MailCommand, i, 2)
			return
		}
	}
}

func smtp(line string) bool {
	lower := lexicon.FoldASCII(line)
	switch {
	case strings.HasPrefix(lower, "mail from:<"), strings.HasPrefix(lower, "rcpt to:<"), strings.HasPrefix(line, "MAIL FROM:"), strings.HasPrefix(line, "RCPT TO:"):
		return true
	}
	return strings.HasPrefix(line, "EHLO ") || strings.HasPrefix(line, "HELO ") || strings.HasPrefix(line, "VRFY ") || strings.HasPrefix(line, "EXPN ")
}

// imap tells a tag and a command: V101 FETCH 4791.
func imap(line string) bool {
	tag, rest, ok := strings.Cut(line, " ")
	if !ok || len(tag) < 2 || len(tag) > 8 || !lexicon.IsLetter(tag[0]) || !lexicon.IsDigit(tag[len(tag)-1]) {
		return false
	}
	command, _, _ := strings.Cut(strings.TrimRight(rest, " "), " ")
	switch command {
	case "CAPABILITY", "LOGIN", "LOGOUT", "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME", "LIST", "LSUB", "STATUS", "APPEND",
		"FETCH", "STORE", "COPY", "UID", "SEARCH", "EXPUNGE", "AUTHENTICATE", "STARTTLS", "NOOP":
		return true
	}
	return false
}

// pop3 tells a command that is a line by itself; QUIT is one of all three protocols.
func pop3(line string) bool {
	switch line {
	case "QUIT", "STAT", "RSET", "CAPA":
		return true
	}
	name, number, ok := strings.Cut(line, " ")
	if !ok || number == "" || !lexicon.IsDigit(number[0]) {
		return false
	}
	return name == "RETR" || name == "DELE" || name == "TOP" || name == "UIDL"
}
