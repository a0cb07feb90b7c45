package message

import "bytes"

// ScanField reads one field line without its CRLF: the name is line[:name], the
// value, white space around it cut off, line[from:to].
func ScanField[T Text](line T) (name, from, to int, err *ProtocolError) {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return 0, 0, 0, Violation("a header line starts with white space (obs-fold)")
	}
	for name < len(line) && Token.Has(line[name]) {
		name++
	}
	switch {
	case name == len(line):
		return 0, 0, 0, Violation("a header line has no colon")
	case line[name] == ' ' || line[name] == '\t':
		return 0, 0, 0, Violation("white space before the colon of a header field")
	case line[name] != ':' || name == 0:
		return 0, 0, 0, Violation("a header field name is not a token")
	}
	from, to = name+1, len(line)
	if !All(line[from:], Value) {
		return 0, 0, 0, Violation("a header field value holds a control byte")
	}
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for to > from && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	return name, from, to, nil
}

// CutLine cuts the first line off b, without its CRLF. ok tells that there was
// one, and that nothing but its CRLF ended it.
func CutLine(b []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 || b[end-1] != '\r' {
		return nil, b, false
	}
	return b[:end-1], b[end+1:], true
}

// AreFields tells whether b is nothing but complete field lines.
func AreFields(b []byte) bool {
	for len(b) > 0 {
		line, rest, ok := CutLine(b)
		if !ok {
			return false
		}
		if _, _, _, err := ScanField(line); err != nil {
			return false
		}
		b = rest
	}
	return true
}

// ParseLength reads 1*DIGIT that fits an int64.
func ParseLength[T Text](s T) (int64, bool) {
	if len(s) == 0 || len(s) > 18 { // 18 digits always fit
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
