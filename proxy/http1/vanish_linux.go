package http1

import "golang.org/x/sys/unix"

// States of a TCP socket whose peer has sent its FIN or a reset, as the kernel
// numbers them (include/net/tcp_states.h).
const (
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// finReceived asks for the state instead of peeking for an end of file: on TLS
// the goodbye is a record, and a pipelined request may lie before it.
func finReceived(fd uintptr) bool {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false
	}
	switch info.State {
	case tcpClose, tcpCloseWait, tcpLastAck, tcpClosing:
		return true
	}
	return false
}
