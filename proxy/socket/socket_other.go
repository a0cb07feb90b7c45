//go:build !linux

package socket

import "net"

func wrapTCP(tcp *net.TCPConn) net.Conn { return tcp }
