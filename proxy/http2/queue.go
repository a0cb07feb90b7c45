package http2

// keepMost is how many bytes of a body are kept while its request may still have
// to be sent a second time: a small message, whole.
const keepMost = mediumBuffer

// queue is what was received of a body and not taken yet. It is guarded by its
// connection's lock, but for the bytes that peek returned: those are read without,
// as the connection only ever writes behind them.
type queue struct {
	first *block // the oldest one held
	next  *block // the one to take from; nil when there is none
	last  *block // the one to write to
	size  int    // bytes to be taken
	// keep tells that what was taken is held as well, up to keepMost bytes: kept
	// bytes so far, the first of them at from in the first block.
	keep       bool
	kept, from int
}

// write adds p. expected is how many bytes are on their way, p included.
func (q *queue) write(p []byte, expected int, b *Buffers) {
	for len(p) > 0 {
		if q.last == nil || q.last.w == len(q.last.data) {
			q.grow(b.block(expected))
		}
		n := copy(q.last.data[q.last.w:], p)
		q.last.w += n
		q.size += n
		p, expected = p[n:], expected-n
	}
}

func (q *queue) grow(p *block) {
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	if q.next == nil {
		q.next = p
	}
	q.last = p
}

// peek returns the next bytes, none if there are none.
func (q *queue) peek() []byte {
	for q.next != nil && q.next.r == q.next.w && q.next.next != nil {
		q.next = q.next.next
	}
	if q.next == nil {
		return nil
	}
	return q.next.data[q.next.r:q.next.w]
}

// take drops n of the bytes that peek returned.
func (q *queue) take(n int, b *Buffers) {
	q.next.r += n
	q.size -= n
	if q.keep {
		if q.kept += n; q.kept <= keepMost {
			return
		}
		q.keep = false
	}
	q.drop(b)
}

// drop recycles the blocks of which all was taken.
func (q *queue) drop(b *Buffers) {
	for q.first != nil && q.first.r == q.first.w {
		p := q.first
		q.first = p.next
		b.recycle(p)
	}
	q.next = q.first
	if q.first == nil {
		q.last = nil
	}
}

// hold begins keeping.
func (q *queue) hold() {
	q.keep, q.kept, q.from = true, 0, 0
	if q.first != nil {
		q.from = q.first.r
	}
}

// forget ends keeping.
func (q *queue) forget(b *Buffers) {
	if q.keep {
		q.keep = false
		q.drop(b)
	}
}

// rewind makes what was kept to be taken once more.
func (q *queue) rewind() {
	q.size = 0
	for p := q.first; p != nil; p = p.next {
		p.r = 0
		if p == q.first {
			p.r = q.from
		}
		q.size += p.w - p.r
	}
	q.next, q.kept = q.first, 0
}

// release gives everything back.
func (q *queue) release(b *Buffers) {
	for q.first != nil {
		p := q.first
		q.first = p.next
		b.recycle(p)
	}
	*q = queue{}
}
