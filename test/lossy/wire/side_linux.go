package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Side is a network namespace with one end of the wire.
type Side struct {
	// Addr is its address, IPv4.
	Addr   string
	device *os.File
	// calls are carried out by a thread that stays in the namespace; nil where it is
	// that of the whole process.
	calls chan func()
	done  chan struct{} // closed when the thread has ended
}

// Here gives the wire an end in the namespace of this process.
func Here(ctx context.Context, addr string) (*Side, error) {
	s := &Side{Addr: addr}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// There makes a namespace for the other end. Close its wire, or leave it to the end of
// the process.
func There(ctx context.Context, addr string) (*Side, error) {
	s := &Side{Addr: addr, calls: make(chan func()), done: make(chan struct{})}
	entered := make(chan error)
	go s.thread(entered)
	err := <-entered
	if err == nil {
		s.In(func() { err = s.connect(ctx) })
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// thread runs what is to be run in the namespace until there is nothing more. The
// thread is not given back: it would take others' work into the namespace.
func (s *Side) thread(entered chan<- error) {
	defer close(s.done)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		entered <- fmt.Errorf("make a network namespace: %w", err)
		return
	}
	close(entered)
	for call := range s.calls {
		call()
	}
}

// In runs f in the namespace: sockets that it opens and programs that it starts are
// there. It must not start goroutines for that.
func (s *Side) In(f func()) {
	if s.calls == nil {
		f()
		return
	}
	done := make(chan struct{})
	select {
	case s.calls <- func() { defer close(done); f() }:
		<-done
	case <-s.done:
	}
}

// Listen opens a port of TCP in the namespace.
func (s *Side) Listen(ctx context.Context, address string) (ln net.Listener, err error) {
	s.In(func() { ln, err = new(net.ListenConfig).Listen(ctx, "tcp", address) })
	return ln, err
}

// connect opens the device and gives it an address.
func (s *Side) connect(ctx context.Context) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq("wire")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return errors.Join(fmt.Errorf("make a TUN device: %w", err), unix.Close(fd))
	}
	s.device = os.NewFile(uintptr(fd), "tun")
	for _, line := range []string{
		"link set lo up",
		"addr add " + s.Addr + "/24 dev wire",
		fmt.Sprintf("link set wire mtu %d txqueuelen %d up", mtu, queued),
	} {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}

// Sysctl sets a parameter of the namespace, as "net.ipv4.tcp_congestion_control".
func (s *Side) Sysctl(name, value string) (err error) {
	s.In(func() { err = os.WriteFile(sysctlFile(name), []byte(value), 0) })
	return err
}

func sysctlFile(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// close lets the thread end, and with it the namespace.
func (s *Side) close() error {
	if s.calls != nil {
		close(s.calls)
		<-s.done
	}
	if s.device == nil {
		return nil
	}
	return s.device.Close()
}
