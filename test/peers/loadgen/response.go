package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// errIncomplete says that the head has not ended yet.
var errIncomplete = errors.New("response head is not complete")

// parseHead reads the response head at the start of b and returns its length
// with the blank line, and the body's length. It is as strict as a benchmark
// can be: anything but a 200 with one Content-Length on a connection that
// stays open is an error, because it would not measure what is claimed.
func parseHead(b []byte) (head, body int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, 0, errIncomplete
	}
	line, rest, _ := bytes.Cut(b[:end], []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return 0, 0, fmt.Errorf("response status line is %q, want a 200", line)
	}
	body = -1
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return 0, 0, fmt.Errorf("response header line %q has no colon", line)
		}
		switch {
		case is(name, "Content-Length"):
			if body >= 0 {
				return 0, 0, errors.New("response has two Content-Length headers")
			}
			if body, err = length(bytes.TrimSpace(value)); err != nil {
				return 0, 0, err
			}
		case is(name, "Transfer-Encoding"):
			return 0, 0, fmt.Errorf("response came with Transfer-Encoding %q", value)
		case is(name, "Connection") && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")):
			return 0, 0, errors.New("response closes the connection")
		}
	}
	if body < 0 {
		return 0, 0, errors.New("response has no Content-Length")
	}
	return end + 4, body, nil
}

// is compares a header's name; the first look at the length keeps the common
// answer, no, cheap.
func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

func length(digits []byte) (int, error) {
	// ParseUint takes no sign, no space and no underscore in base 10.
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("response has Content-Length %q", digits)
	}
	return int(n), nil
}
