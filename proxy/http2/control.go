package http2

import (
	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// All of this is the reader's and needs conn.mu.

// Pings of ours, told apart by what they carry.
var (
	alivePing    = [8]byte{'a', 'l', 'i', 'v', 'e'}
	gracefulPing = [8]byte{'l', 'a', 's', 't'}
)

// isNew tells whether no stream of that identifier was ever opened.
func (c *conn) isNew(id uint32) bool { return id > c.last || id%2 == 0 }

// settings applies the settings of the peer, in order (RFC 9113 §6.5.3).
func (c *conn) settings(f *wire.SettingsFrame) error {
	if f.IsAck() {
		return c.spend(1)
	}
	if err := c.spend(1 + f.NumSettings()); err != nil {
		return err
	}
	if err := f.ForeachSetting(c.setting); err != nil {
		return err
	}
	c.peer.known = true
	c.out = appendSettingsAck(c.out)
	c.unstall()
	return nil
}

func (c *conn) setting(s wire.Setting) error {
	if s.Valid() != nil {
		if s.ID == wire.SettingInitialWindowSize {
			return broken(flowControlError, "an initial window over 2^31-1")
		}
		return broken(protocolError, "a setting is out of its range")
	}
	switch s.ID {
	case wire.SettingHeaderTableSize:
		c.encode.SetMaxDynamicTableSize(min(s.Val, headerTable))
	case wire.SettingMaxConcurrentStreams:
		c.peer.streams = int(min(s.Val, mostStream))
	case wire.SettingInitialWindowSize:
		return c.initialWindow(int(s.Val))
	case wire.SettingEnableConnectProtocol:
		if c.peer.connecting && s.Val == 0 {
			return broken(protocolError, "extended CONNECT is taken back") // RFC 8441 §3
		}
		c.peer.connecting = s.Val == 1
	default: // ours are never larger than what the others ask for
	}
	return nil
}

// initialWindow moves the windows of open streams along, perhaps below zero
// (RFC 9113 §6.9.2).
func (c *conn) initialWindow(size int) error {
	moved := size - c.peer.window
	c.peer.window = size
	for _, s := range c.streams {
		if s.credit += moved; s.credit > mostWindow {
			return broken(flowControlError, "a window over 2^31-1")
		}
		if s.starved && moved > 0 {
			c.tell(s)
		}
	}
	return nil
}

func (c *conn) windowUpdate(f *wire.WindowUpdateFrame) error {
	if err := c.spend(1); err != nil {
		return err
	}
	if f.StreamID == 0 {
		if c.allowed += int(f.Increment); c.allowed > mostWindow {
			return broken(flowControlError, "the connection's window over 2^31-1")
		}
		c.unstall()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		if c.isNew(f.StreamID) {
			return broken(protocolError, "WINDOW_UPDATE on a stream that was not opened")
		}
		return nil // it may have ended in the meantime
	}
	if s.credit += int(f.Increment); s.credit > mostWindow {
		return c.streamFault(s.id, broken(flowControlError, "a stream's window over 2^31-1"))
	}
	if s.starved {
		c.tell(s)
	}
	return nil
}

func (c *conn) resetFrame(f *wire.RSTStreamFrame) error {
	s := c.streams[f.StreamID]
	if s == nil {
		if c.isNew(f.StreamID) {
			return broken(protocolError, "RST_STREAM on a stream that was not opened")
		}
		return c.spend(1)
	}
	if isReset(s.err) {
		return c.spend(1)
	}
	reset := &ResetError{Code(f.ErrCode)}
	if s.err != nil {
		s.err = nil // whatever it was, the stream is closed now
	}
	s.fail(reset)
	return c.role.wasReset(s)
}

func (c *conn) ping(f *wire.PingFrame) error {
	if f.IsAck() {
		c.role.pinged(f.Data)
	} else {
		c.out = appendPing(c.out, true, f.Data)
	}
	return c.spend(1)
}

// priority checks what is otherwise ignored: RFC 9113 §5.3.2 deprecates it.
func (c *conn) priority(id uint32, p wire.PriorityParam) error {
	if err := c.spend(1); err != nil {
		return err
	}
	if p.StreamDep != id {
		return nil
	}
	if c.isNew(id) {
		// There is no stream to reset, and so none that could be harmed.
		return broken(protocolError, "a stream that depends on itself")
	}
	return c.streamFault(id, broken(protocolError, "a stream that depends on itself"))
}

// streamFault ends one stream for what its peer did.
func (c *conn) streamFault(id uint32, err error) error {
	code := protocolError
	if fault, ok := err.(*connError); ok { //nolint:errorlint // made by our callers
		code = fault.code
		err = message.Violation(fault.rule)
	}
	s := c.streams[id]
	switch {
	case s == nil && c.wasResetByUs(id):
		return c.spend(1)
	case s == nil, isReset(s.err): // closed, and the peer should know it
		c.reset(id, code)
		return c.spend(1)
	case s.err == nil:
		c.sendReset(s, code)
		// To have us reset a stream is to call it off by other means (CVE-2025-8671).
		if tooMany := c.role.wasReset(s); tooMany != nil {
			return tooMany
		}
	}
	s.fail(err)
	return c.spend(1)
}
