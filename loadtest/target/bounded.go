package target

import (
	"errors"
	"io"
	"math"
)

// maxHead is how many bytes a head of an answer may have, with all interim answers
// before it, and what of the body comes along. Servers send a few hundred; net/http
// allows one mebibyte.
const maxHead = 1 << 20

// errHead: an endless head would otherwise be kept in memory until the deadline.
var errHead = errors.New("the head of the answer is longer than a mebibyte")

// bounded reads no more than it is allowed to.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errHead
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) head() { b.left = maxHead }

// body is thrown away as it comes, so only time bounds it.
func (b *bounded) body() { b.left = math.MaxInt64 }
