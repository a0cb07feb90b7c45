package http2

import (
	"bytes"
	"testing"
)

// FuzzQueue compares the queue with a slice: what is taken is what was written, in
// order and once, and after a rewind once more from where holding began.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 200, 1, 50, 4, 0, 0, 200, 1, 100, 2, 0, 1, 10, 3, 0, 1, 9})
	f.Add([]byte{4, 0, 0, 255, 0, 255, 1, 255, 1, 255, 2, 0, 1, 3})
	f.Add([]byte{0, 10, 1, 3, 4, 0, 1, 3, 2, 0, 1, 3, 1, 3, 2, 0, 1, 9})
	f.Add([]byte{4, 0, 0, 30, 0, 30, 1, 41, 1, 1, 1, 60, 2, 0, 1, 60, 1, 60})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var q queue
		b := new(Buffers)
		var model []byte // to be taken
		var held []byte  // taken since holding began
		next := byte(0)
		for len(ops) > 1 {
			op, n := ops[0]%5, int(ops[1])*100
			ops = ops[2:]
			switch op {
			case 0: // write
				p := make([]byte, n)
				for i := range p {
					next++
					p[i] = next
				}
				q.write(p, n+int(next), b)
				model = append(model, p...)
			case 1: // take
				p := q.peek()
				if len(p) == 0 && len(model) > 0 || !bytes.HasPrefix(model, p) {
					t.Fatalf("peek gives %d bytes of %d, or others", len(p), len(model))
				}
				p = p[:min(len(p), n)]
				if len(p) == 0 {
					break
				}
				held = append(held, p...)
				q.take(len(p), b)
				model = model[len(p):]
			case 2: // rewind
				if q.keep {
					if q.kept != len(held) {
						t.Fatalf("%d bytes are kept, want %d", q.kept, len(held))
					}
					q.rewind()
					model = append(bytes.Clone(held), model...)
					held = nil
				}
			case 3:
				q.forget(b)
			case 4:
				q.forget(b)
				q.hold()
				held = nil
			}
			if q.size != len(model) {
				t.Fatalf("size %d, want %d", q.size, len(model))
			}
			if q.keep && len(held) > keepMost {
				t.Fatalf("%d bytes are held", len(held))
			}
		}
		q.release(b)
		if q.size != 0 || q.first != nil || q.next != nil || q.last != nil {
			t.Errorf("%+v is left", q)
		}
	})
}
