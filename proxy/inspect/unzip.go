package inspect

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

var (
	errNotCompressed = errors.New("a message says that it is compressed, and the head does not say how")
	errRatio         = errors.New("the body expands beyond measure")
)

// An unzipper decompresses bodies and messages. It keeps its decompressors, each of
// which takes from 40 KiB to some hundred.
type unzipper struct{ gzip, brotli, zstd sync.Pool }

// decode returns the first limit bytes of what b stands for, and whether that is all
// of it. cut tells that b itself is only the first part. A panic becomes an error: the
// bytes are the sender's, and the decoders others'.
func (u *unzipper) decode(c coding, b []byte, limit int, cut bool) (out []byte, whole bool, err error) {
	defer recovered(&err)
	r, pool, err := u.open(c, b)
	if err == nil {
		// One byte more than is inspected: only then it is known that there is more,
		// or the checksum holds.
		out, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
		pool.Put(r)
	}
	switch {
	case len(out) > minExpansion && len(out)/maxExpansion > len(b):
		return nil, false, errRatio
	case len(out) > limit:
		return out[:limit], false, nil
	case cut && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
		return out, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("decompress: %w", err)
	}
	return out, !cut, nil
}

// A resetter is a decompressor that can be used again.
type resetter interface {
	io.Reader
	Reset(r io.Reader) error
}

// open returns a decompressor at the beginning of b, and where it goes afterwards.
func (u *unzipper) open(c coding, b []byte) (r resetter, pool *sync.Pool, err error) {
	switch c {
	case gzipCoding:
		r, pool = &gzip.Reader{}, &u.gzip
	case brotliCoding:
		r, pool = &brotli.Reader{}, &u.brotli
	case zstdCoding:
		r, pool = nil, &u.zstd
	case noCoding, unknownCoding:
		return nil, nil, errNotCompressed
	}
	if used, ok := pool.Get().(resetter); ok {
		r = used
	} else if r == nil {
		if r, err = newZstd(); err != nil {
			return nil, nil, err
		}
	}
	if err := r.Reset(bytes.NewReader(b)); err != nil {
		return nil, nil, fmt.Errorf("begin to decompress: %w", err)
	}
	return r, pool, nil
}

// newZstd makes a decoder that works in the caller's goroutine, so that nobody has to
// close it.
func newZstd() (*zstd.Decoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, fmt.Errorf("make a decoder of zstd: %w", err)
	}
	return d, nil
}
