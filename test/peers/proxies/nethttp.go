package proxies

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"github.com/outrider-mesh/outrider/test/peers/reference"
)

// netHTTP is the standard library's reverse proxy, held by the benchmark's own
// executable: what a sidecar costs that is written without an engine of its
// own. It needs nothing installed, so the benchmark's test runs it.
type netHTTP struct {
	self string
	// filter makes its inbound side look for attacks, in the plainest way.
	filter bool
}

func (n netHTTP) Locate(context.Context) (Install, error) {
	if n.self == "" {
		return Install{}, fmt.Errorf("reference proxy: %w", ErrAbsent)
	}
	return Install{Path: n.self, Version: "net/http of " + runtime.Version()}, nil
}

func (n netHTTP) Command(at Install, side Side) (Command, error) {
	options := reference.Options{
		Outbound: side.Outbound, Listen: side.Listen, Upstream: side.Upstream, AccessLog: side.AccessLog(),
		Cert: side.Identity.Cert, Key: side.Identity.Key, CA: side.Identity.CA,
		PeerID: side.Peer.ID, PeerName: side.Peer.DNSName, Filter: n.filter && !side.Outbound,
	}
	arg, err := options.Encode()
	if err != nil {
		return Command{}, errors.Join(errors.New("describe the reference proxy"), err)
	}
	command := Command{Path: at.Path, Args: []string{reference.Subcommand, arg}}
	if side.Workers > 0 {
		command.Env = []string{"GOMAXPROCS=" + strconv.Itoa(side.Workers)}
	}
	return command, nil
}
