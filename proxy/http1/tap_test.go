package http1

import "testing"

// What passes is copied as it was sent, however it is framed and cut, and however often
// it is sent.
func TestBodiesAreCopiedAsTheyPass(t *testing.T) {
	cases := []struct {
		name, request string
		most          int64
		want          string
		complete      bool
	}{
		{"all of it", post("Content-Length: 5\r\n", "hello"), 9, "hello", true},
		{"just all of it", post("Content-Length: 5\r\n", "hello"), 5, "hello", true},
		{"a part", post("Content-Length: 5\r\n", "hello"), 4, "hell", false},
		{"chunks", chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), 9, "hello", true},
		{"chunks, just all", chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n"), 5, "hello", true},
		{"a part of chunks", chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), 3, "hel", false},
		{"cut off", post("Content-Length: 5\r\n", "hel"), 9, "hel", false},
		{"broken", chunks("2\r\nhe\r\nx"), 9, "he", false},
		{"no body", get(""), 9, "", true},
		{"nothing is wanted", post("Content-Length: 5\r\n", "hello"), 0, "", false},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		for how, segments := range map[string][][]byte{"whole": whole(c.request), "bytewise": bytewise(c.request)} {
			seen := 0
			_ = testServer(testLimits()).NewConn(&scriptConn{segments: segments}).Serve(func(x *Exchange) {
				seen++
				x.Body.Tap(c.most)
				_, _, _ = x.Body.Arrived(2)
				_, _, _ = x.Body.Peek(3)
				for range 2 { // as if it was sent again
					drainBody(&x.Body)
					x.Body.rewind()
				}
				if got, complete := x.Body.Tapped(); string(got) != c.want || complete != c.complete {
					t.Errorf("%s, %s: %q, complete %t", c.name, how, got, complete)
				}
				_ = x.Respond(204, nil, nil)
			})
			if seen != 1 {
				t.Errorf("%s, %s: %d requests", c.name, how, seen)
			}
		}
	}
}

func drainBody(b *Body) {
	for {
		if _, err := b.Next(); err != nil {
			return
		}
	}
}

// Who asks for what has arrived does not wait for the rest.
func TestWhatHasArrivedIsNotWaitedFor(t *testing.T) {
	head := len(post("Content-Length: 5\r\n", ""))
	text := post("Content-Length: 5\r\n", "hello")
	chunked := chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
	cases := []struct {
		name     string
		segments [][]byte
		n        int64
		want     string
		complete bool
		unread   int // segments
	}{
		{"all is here", whole(text), 9, "hello", true, 0},
		{"more than is wanted", whole(text), 3, "hel", false, 0},
		{"a part", [][]byte{[]byte(text[:head+2]), []byte(text[head+2:])}, 9, "he", false, 1},
		{"nothing", [][]byte{[]byte(text[:head]), []byte(text[head:])}, 9, "", false, 1},
		{"chunks", whole(chunked), 9, "hello", true, 0},
		{"a part of chunks", [][]byte{[]byte(chunked[:len(chunked)-12]), []byte(chunked[len(chunked)-12:])}, 9, "he", false, 1},
	}
	if len(cases) < 6 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		nc := &scriptConn{segments: c.segments}
		_ = testServer(testLimits()).NewConn(nc).Serve(func(x *Exchange) {
			got, complete, err := x.Body.Arrived(c.n)
			if string(got) != c.want || complete != c.complete || err != nil || len(nc.left()) != c.unread {
				t.Errorf("%s: %q, complete %t, %v, %d segments unread", c.name, got, complete, err, len(nc.left()))
			}
			if r := take(x); r.err != nil || r.body != "hello" {
				t.Errorf("%s: then the body is %q, %v", c.name, r.body, r.err)
			}
			_ = x.Respond(204, nil, nil)
		})
	}
}

// left are the segments that nobody has read.
func (c *scriptConn) left() [][]byte {
	for len(c.segments) > 0 && len(c.segments[0]) == 0 {
		c.segments = c.segments[1:]
	}
	return c.segments
}

// A head that outlives its exchange says the same.
func TestAClonedHeadIsKept(t *testing.T) {
	var kept []*Request
	_ = testServer(testLimits()).NewConn(&scriptConn{segments: whole(get("X-A: one\r\n") + get("X-B: other\r\nX-C: third\r\n"))}).Serve(func(x *Exchange) {
		kept = append(kept, x.Request.Clone())
		_ = x.Respond(204, nil, nil)
	})
	if len(kept) != 2 {
		t.Fatalf("%d requests", len(kept))
	}
	for i, name := range []string{"x-a", "x-b"} {
		if _, ok := kept[i].Get(name); !ok {
			t.Errorf("request %d has no %s", i, name)
		}
		if _, ok := kept[1-i].Get(name); ok {
			t.Errorf("request %d has %s", 1-i, name)
		}
	}
}
