package inspect

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"
)

var errNotCompressed = errors.New("a message says that it is compressed, and the head does not say how")

// An unzipper decompresses messages. It keeps its decompressors, each of which takes
// some 40 KiB.
type unzipper struct{ readers sync.Pool }

// gunzip returns the first limit bytes of what b stands for, and whether that is all
// of it. cut tells that b itself is only the first part of a message.
func (u *unzipper) gunzip(b []byte, limit int, cut bool) (out []byte, whole bool, err error) {
	z, ok := u.readers.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer u.readers.Put(z)
	if err = z.Reset(bytes.NewReader(b)); err == nil {
		// One byte more than is inspected: only then it is known that there is more,
		// or the checksum holds.
		out, err = io.ReadAll(io.LimitReader(z, int64(limit)+1))
	}
	switch {
	case len(out) > limit:
		return out[:limit], false, nil
	case cut && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
		return out, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("decompress a message: %w", err)
	}
	return out, !cut, nil
}
