package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// loopback is the first interface of every network. On the node's, the kubelet hands
// on what programs print that were started for us: in the clear, and not the mesh's.
const loopback = 1

// A capture is what was seen on every interface of the node but that one: on the ends of
// its pods above all.
type capture struct {
	packets, bytes int
	// marked are those that hold the marker, sealed those that hold a record of TLS.
	marked, sealed int
}

// listen captures while something is done.
func (w *world) listen(t *testing.T, do func()) capture {
	t.Helper()
	fd, err := w.packets()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	stop, done := make(chan struct{}), make(chan capture)
	go func() { done <- read(fd, stop) }()
	do()
	close(stop)
	return <-done
}

// packets opens a socket that sees everything in the node's network.
func (w *world) packets() (int, error) {
	type opened struct {
		fd  int
		err error
	}
	made := make(chan opened)
	go func() { // on a thread of its own, which ends with it
		runtime.LockOSThread()
		fd, err := func() (int, error) {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", w.PID()))
			if err != nil {
				return 0, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return 0, err
			}
			const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in the network's order
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
			if err != nil {
				return 0, err
			}
			return fd, errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
				unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}))
		}()
		made <- opened{fd, err}
	}()
	o := <-made
	return o.fd, o.err
}

// read looks at packets until it is told to stop and nothing comes any more.
func read(fd int, stop <-chan struct{}) capture {
	var c capture
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			select {
			case <-stop:
				return c
			default:
				continue
			}
		}
		if err != nil {
			continue
		}
		if at, ok := from.(*unix.SockaddrLinklayer); ok && at.Ifindex == loopback {
			continue
		}
		c.packets++
		c.bytes += n
		if bytes.Contains(buf[:n], []byte(marker)) {
			c.marked++
		}
		if bytes.Contains(buf[:n], []byte{0x17, 0x03, 0x03}) {
			c.sealed++
		}
	}
}

// wire looks for what a client sends along, in and outside of the mesh.
func (w *world) wire(t *testing.T) {
	const calls = 5
	call := func(from, url string) func() {
		return func() {
			for range calls {
				a := w.get(t, from, "checkout", url)
				w.check(t, a.status == 200 && bytes.Contains([]byte(a.body), []byte(marker)), "%s: %v", from, a)
			}
		}
	}
	open := w.listen(t, call("outside", "http://payments.outside.svc:8080/v1/charges"))
	w.check(t, open.marked >= calls, "without a mesh %d of %d packets are readable; the capture sees nothing", open.marked, open.packets)
	closed := w.listen(t, call("shop", server+"/v1/charges"))
	w.check(t, closed.marked == 0, "%d of %d packets of the mesh are readable", closed.marked, closed.packets)
	w.check(t, closed.sealed >= calls, "%d packets of the mesh hold records of TLS", closed.sealed)
	t.Logf("packets: outside of the mesh %+v, in it %+v", open, closed)
}
