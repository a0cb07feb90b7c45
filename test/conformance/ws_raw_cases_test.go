package conformance_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A wsRawCase is what each end does, in frames.
type wsRawCase struct {
	name           string
	client, server func(c *wsEnd) error
}

// bye is how a conversation ends in order: the one who begins it hears the same back.
func bye(c *wsEnd) error {
	if err := c.send(c.frame(wsClose, "\x03\xe8")); err != nil {
		return err
	}
	other := wsEnd{client: !c.client}
	return errors.Join(c.wants(other.frame(wsClose, "\x03\xe8")), c.leave())
}

// byeBack is the other end's part.
func byeBack(c *wsEnd) error {
	other := wsEnd{client: !c.client}
	return errors.Join(c.wants(other.frame(wsClose, "\x03\xe8")), c.send(c.frame(wsClose, "\x03\xe8")), c.leave())
}

// leave ends the sending side, where that is possible, and waits for the other end to
// do so: a server that can't ends when it returns.
func (c *wsEnd) leave() error {
	if c.finish == nil {
		return nil
	}
	return errors.Join(c.finish(), c.over())
}

// said makes a case of frames that one end sends, and both directions of it.
func said(name string, frames ...wsFrame) []wsRawCase {
	as := func(c *wsEnd, mine bool) []wsFrame {
		all := make([]wsFrame, len(frames))
		for i, f := range frames {
			f.masked = f.masked != (c.client == mine)
			all[i] = f
		}
		return all
	}
	speak := func(c *wsEnd) error { return errors.Join(c.send(as(c, true)...), bye(c)) }
	listen := func(c *wsEnd) error { return errors.Join(c.wants(as(c, false)...), byeBack(c)) }
	return []wsRawCase{
		{name + ", of the client", speak, listen},
		{name + ", of the server", listen, speak},
	}
}

func whole(op byte, data string) wsFrame   { return wsFrame{fin: true, op: op, data: data} }
func partial(op byte, data string) wsFrame { return wsFrame{op: op, data: data} }

func wsRawCases() (all []wsRawCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
		all = append(all, said(fmt.Sprintf("text of %d bytes", n), whole(wsText, strings.Repeat("t", n)))...)
		all = append(all, said(fmt.Sprintf("binary of %d bytes", n), whole(wsBinary, string(pattern(n, n))))...)
	}
	all = append(all, wsFragments()...)
	all = append(all, wsControls()...)
	all = append(all, wsEndings()...)
	return append(all, wsOddities()...)
}

func wsFragments() (all []wsRawCase) {
	var bytewise, many []wsFrame
	for i, b := range []byte("byte by byte") {
		op := byte(wsMore)
		if i == 0 {
			op = wsText
		}
		bytewise = append(bytewise, wsFrame{op: op, data: string(b)})
	}
	many = append(many, partial(wsBinary, "first"))
	for i := range 300 {
		many = append(many, partial(wsMore, fmt.Sprint("piece ", i)))
	}
	for name, frames := range map[string][]wsFrame{
		"two fragments":                   {partial(wsText, "one"), whole(wsMore, "two")},
		"an empty first fragment":         {partial(wsText, ""), whole(wsMore, "two")},
		"an empty last fragment":          {partial(wsText, "one"), whole(wsMore, "")},
		"nothing in three fragments":      {partial(wsText, ""), partial(wsMore, ""), whole(wsMore, "")},
		"a ping between fragments":        {partial(wsText, "one"), whole(wsPing, "?"), whole(wsMore, "two")},
		"a pong between fragments":        {partial(wsText, "one"), whole(wsPong, "!"), whole(wsMore, "two")},
		"byte by byte":                    append(bytewise, whole(wsMore, "")),
		"three hundred fragments":         append(many, whole(wsMore, "last")),
		"large fragments":                 {partial(wsBinary, string(pattern(300_000, 1))), whole(wsMore, string(pattern(300_000, 2)))},
		"a character cut by its fragment": {partial(wsText, "\xe2\x82"), whole(wsMore, "\xac")},
	} {
		all = append(all, said(name, frames...)...)
	}
	return all
}

func wsControls() (all []wsRawCase) {
	var pings []wsFrame
	for i := range 50 {
		pings = append(pings, whole(wsPing, fmt.Sprint(i)))
	}
	for name, frames := range map[string][]wsFrame{
		"an empty ping":          {whole(wsPing, "")},
		"a ping of 125 bytes":    {whole(wsPing, strings.Repeat("p", 125))},
		"a ping of binary":       {whole(wsPing, "\x00\xff\xfe")},
		"fifty pings":            pings,
		"a pong nobody asked":    {whole(wsPong, "hello")},
		"an empty pong":          {whole(wsPong, "")},
		"a ping between texts":   {whole(wsText, "a"), whole(wsPing, "b"), whole(wsText, "c")},
		"a text behind its pong": {whole(wsPong, "b"), whole(wsText, "c")},
	} {
		all = append(all, said(name, frames...)...)
	}
	return all
}

// wsEndings are the ways in which a conversation ends.
func wsEndings() (all []wsRawCase) {
	closes := map[string]string{
		"without a code": "", "with a long reason": "\x0f\xa0" + strings.Repeat("r", 123), "with a reason in UTF-8": "\x03\xe8za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87",
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 3999, 4000, 4999} {
		closes[fmt.Sprintf("with %d", code)] = string([]byte{byte(code >> 8), byte(code)})
	}
	for name, data := range closes {
		first := func(c *wsEnd) error {
			other := wsEnd{client: !c.client}
			return errors.Join(c.send(c.frame(wsClose, data)), c.wants(other.frame(wsClose, data)), c.leave())
		}
		second := func(c *wsEnd) error {
			other := wsEnd{client: !c.client}
			return errors.Join(c.wants(other.frame(wsClose, data)), c.send(c.frame(wsClose, data)), c.leave())
		}
		all = append(all,
			wsRawCase{"the client closes " + name, first, second},
			wsRawCase{"the server closes " + name, second, first})
	}
	return append(all, wsCuts()...)
}

// wsCuts are endings without a word.
func wsCuts() []wsRawCase {
	text := func(c *wsEnd) wsFrame { return c.frame(wsText, "still here") }
	return []wsRawCase{
		{
			"the client ends its half and hears the rest",
			func(c *wsEnd) error {
				return errors.Join(c.finish(), c.wants(whole(wsText, "still here")), c.over())
			},
			func(c *wsEnd) error { return errors.Join(c.over(), c.send(text(c))) },
		},
		{
			"the server ends without a word",
			func(c *wsEnd) error { return errors.Join(c.wants(whole(wsText, "still here")), c.over()) },
			func(c *wsEnd) error { return c.send(text(c)) },
		},
		{
			"the client is cut off",
			func(c *wsEnd) error { return errors.Join(c.wants(whole(wsText, "still here")), c.abort()) },
			func(c *wsEnd) error {
				if err := c.send(text(c)); err != nil {
					return err
				}
				if f, err := c.recv(); err == nil {
					return fmt.Errorf("heard %v from a client that was cut off", f)
				}
				return nil
			},
		},
		{
			"half a frame and the end",
			func(c *wsEnd) error {
				half := c.frame(wsBinary, strings.Repeat("x", 1000)).wire()[:500]
				_, err := c.w.Write(half)
				return errors.Join(err, c.finish())
			},
			func(c *wsEnd) error {
				if f, err := c.recv(); err == nil {
					return fmt.Errorf("heard %v of half a frame", f)
				}
				return nil
			},
		},
	}
}

// wsOddities are the peers' business: a sidecar passes them on as they are.
func wsOddities() (all []wsRawCase) {
	for name, frames := range map[string][]wsFrame{
		"a reserved bit":              {{fin: true, rsv: 4, op: wsText, data: "deflated?"}},
		"all reserved bits":           {{fin: true, rsv: 7, op: wsBinary, data: "?"}},
		"a reserved opcode":           {whole(3, "?"), whole(11, "?")},
		"text that is not UTF-8":      {whole(wsText, "\xc3\x28")},
		"a mask on the wrong side":    {{fin: true, op: wsText, masked: true, data: "wrong"}},
		"a continuation of nothing":   {whole(wsMore, "of what?")},
		"a ping that is too long":     {whole(wsPing, strings.Repeat("p", 200))},
		"an HTTP request in a frame":  {whole(wsText, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		"the preface of HTTP/2 in it": {whole(wsBinary, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
	} {
		all = append(all, said(name, frames...)...)
	}
	trickle := func(c *wsEnd) error {
		for _, b := range c.frame(wsText, "one byte at a time").wire() {
			if _, err := c.w.Write([]byte{b}); err != nil {
				return err
			}
		}
		return bye(c)
	}
	flood := func(c *wsEnd) error { // both at once, more than all buffers on the way hold
		sent := make(chan error, 1)
		go func() { sent <- c.send(c.frame(wsBinary, string(pattern(8<<20, 3)))) }()
		other := wsEnd{client: !c.client}
		return errors.Join(c.wants(other.frame(wsBinary, string(pattern(8<<20, 3)))), <-sent)
	}
	return append(all,
		wsRawCase{"one byte at a time", trickle, func(c *wsEnd) error {
			return errors.Join(c.wants(wsFrame{fin: true, op: wsText, masked: true, data: "one byte at a time"}), byeBack(c))
		}},
		wsRawCase{
			"much in both directions at once",
			func(c *wsEnd) error { return errors.Join(flood(c), bye(c)) },
			func(c *wsEnd) error { return errors.Join(flood(c), byeBack(c)) },
		})
}

// TestWebSocketFrames has raw peers speak WebSocket through two sidecars, over an
// upgraded connection of HTTP/1.1 and over a stream of HTTP/2.
func TestWebSocketFrames(t *testing.T) {
	for _, over := range carriers() {
		for _, mode := range []struct {
			name     string
			policies string
			begin    func(t *testing.T, front, path string) *wsEnd
		}{
			{"upgrade of HTTP/1.1", "", upgrade},
			{"upgrade of HTTP/1.1, inspected", inspecting, upgrade},
			{"extended CONNECT", "", extendedConnect},
			{"extended CONNECT, inspected", inspecting, extendedConnect},
		} {
			t.Run(over.name+", "+mode.name, func(t *testing.T) {
				stage := &wsStage{halfs: map[string]func(*wsEnd) error{}, ended: map[string]chan error{}}
				m := startMesh(t, meshOptions{App: serve(t, stage), Policies: mode.policies, Carrier: over})
				ran := 0
				for i, c := range wsRawCases() {
					ran++
					t.Run(c.name, func(t *testing.T) {
						path := fmt.Sprint("/case/", i)
						ended := stage.put(path, c.server)
						client := mode.begin(t, m.Front, path)
						if err := c.client(client); err != nil {
							t.Errorf("the client: %v", err)
							_ = client.abort() // the server may wait for it
						}
						select {
						case err := <-ended:
							if err != nil {
								t.Errorf("the server: %v", err)
							}
						case <-time.After(patience):
							t.Error("the server waits for its client")
						}
					})
				}
				atLeast(t, "conversations in raw frames", ran, 130)
			})
		}
	}
}
