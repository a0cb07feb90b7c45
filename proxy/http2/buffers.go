package http2

import "sync"

// Buffer sizes in bytes. An idle connection reads into the small one; a body is
// kept in small or medium blocks, the medium one holding a full frame (16 KiB,
// RFC 9113 §4.2); the large one is the most that one system call moves.
const (
	smallBuffer  = 4 << 10
	mediumBuffer = 16 << 10
	largeBuffer  = 64 << 10
)

// Buffers hands out the buffers of connections and bodies. One value is shared by
// everything that carries HTTP/2 in a process.
type Buffers struct {
	small, medium, large  sync.Pool
	smallBlock, fullBlock sync.Pool
}

func (b *Buffers) pool(size int) (*sync.Pool, int) {
	switch {
	case size <= smallBuffer:
		return &b.small, smallBuffer
	case size <= mediumBuffer:
		return &b.medium, mediumBuffer
	}
	return &b.large, largeBuffer
}

// get returns a buffer of at least size bytes.
func (b *Buffers) get(size int) *[]byte {
	if size <= largeBuffer {
		pool, fit := b.pool(size)
		if p, ok := pool.Get().(*[]byte); ok {
			return p
		}
		size = fit
	}
	buf := make([]byte, size)
	return &buf
}

func (b *Buffers) put(p *[]byte) {
	*p = (*p)[:cap(*p)]
	switch len(*p) {
	case smallBuffer, mediumBuffer, largeBuffer:
		pool, _ := b.pool(len(*p))
		pool.Put(p)
	}
}

// block is one piece of a body that was received; data[r:w] is to be taken.
type block struct {
	next *block
	r, w int
	data []byte
}

// block returns an empty block, a full one if more than the small one is
// expected.
func (b *Buffers) block(expected int) *block {
	pool, size := &b.smallBlock, smallBuffer
	if expected > smallBuffer {
		pool, size = &b.fullBlock, mediumBuffer
	}
	if p, ok := pool.Get().(*block); ok {
		p.next, p.r, p.w = nil, 0, 0
		return p
	}
	return &block{data: make([]byte, size)}
}

func (b *Buffers) recycle(p *block) {
	if len(p.data) == smallBuffer {
		b.smallBlock.Put(p)
	} else {
		b.fullBlock.Put(p)
	}
}
