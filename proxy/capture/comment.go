package capture

import "bytes"

// commentType is that of a rule's comment in its user data
// (NFTNL_UDATA_RULE_COMMENT of libnftnl).
const commentType = 0

// commentOf finds the comment in a rule's user data: attributes of a byte for
// the type, a byte for the length, and the value; a comment ends in a zero byte.
// The data may be anybody's; whatever is not in this form has no comment.
func commentOf(data []byte) (string, bool) {
	for len(data) >= 2 {
		kind, length := data[0], int(data[1])
		if len(data) < 2+length {
			return "", false
		}
		value := data[2 : 2+length]
		if kind == commentType {
			text, ok := bytes.CutSuffix(value, []byte{0})
			return string(text), ok && !bytes.ContainsRune(text, 0)
		}
		data = data[2+length:]
	}
	return "", false
}
