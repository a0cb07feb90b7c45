package http2

import (
	"encoding/binary"

	wire "golang.org/x/net/http2"
)

// Sizes of the protocol, in bytes.
const (
	frameHeader = 9
	// mostFrame is the largest payload that we send, and accept: the smallest
	// that RFC 9113 §4.2 lets anybody ask for. Larger ones would only let one
	// stream hold up the others for longer.
	mostFrame = 16384
	// firstWindow is what a peer may send before it knows our settings, and we
	// before we know its (RFC 9113 §6.9.2).
	firstWindow = 65535
	// mostWindow is the largest flow-control window (RFC 9113 §6.9.1).
	mostWindow = 1<<31 - 1
	// mostStream is the largest stream identifier.
	mostStream = 1<<31 - 1
)

// appendHeader begins a frame whose payload has length bytes.
func appendHeader(b []byte, length int, kind wire.FrameType, flags wire.Flags, id uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags)) //nolint:gosec // 24 bits, by RFC 9113 §4.1
	return binary.BigEndian.AppendUint32(b, id)
}

func appendReset(b []byte, id uint32, code Code) []byte {
	b = appendHeader(b, 4, wire.FrameRSTStream, 0, id)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindowUpdate(b []byte, id, n uint32) []byte {
	b = appendHeader(b, 4, wire.FrameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(b, n)
}

func appendPing(b []byte, ack bool, data [8]byte) []byte {
	flags := wire.Flags(0)
	if ack {
		flags = wire.FlagPingAck
	}
	return append(appendHeader(b, len(data), wire.FramePing, flags, 0), data[:]...)
}

func appendGoAway(b []byte, last uint32, code Code, debug string) []byte {
	b = appendHeader(b, 8+len(debug), wire.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, debug...)
}

func appendSettings(b []byte, settings ...wire.Setting) []byte {
	b = appendHeader(b, 6*len(settings), wire.FrameSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendSettingsAck(b []byte) []byte {
	return appendHeader(b, 0, wire.FrameSettings, wire.FlagSettingsAck, 0)
}
