package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
)

// Defaults of a plan.
const (
	// DefaultUID is the user the sidecar runs as. It is unusual on purpose: a
	// user that another sidecar or an application has too would escape.
	DefaultUID = 21337
	// DefaultInboundPort and DefaultOutboundPort are where redirected
	// connections arrive.
	DefaultInboundPort  = 15006
	DefaultOutboundPort = 15001
)

// MaxExclusions bounds each list of exclusions. Every entry is a rule that each
// new connection is compared with, and a plan of this size still fits into one
// netlink transaction.
const MaxExclusions = 64

// Options say what a plan redirects.
type Options struct {
	// UID is the sidecar's user, whose own calls go out untouched. It can't be
	// root's: most applications are root in their container.
	UID uint32
	// InboundPort takes what others send to the application, OutboundPort what
	// the application sends to others; 0 leaves that direction alone.
	InboundPort, OutboundPort uint16
	// Own are ports of the sidecar that are called directly: health, metrics,
	// and listeners named in its configuration.
	Own []OwnPort
	// Inbound and Outbound are what is left alone in each direction.
	Inbound  Inbound
	Outbound Outbound
}

// An OwnPort is a port that the sidecar serves under its own address.
type OwnPort struct {
	// Name is what the port is for, such as "health"; it stands in the rule's
	// comment.
	Name string
	Port uint16
}

// Inbound is what arrives and is not redirected. There are no users here: what
// arrives belongs to nobody yet.
type Inbound struct {
	// Ports are those of the application.
	Ports []uint16
	// Sources are the addresses of callers.
	Sources []netip.Prefix
}

// Outbound is what the application sends and is not redirected.
type Outbound struct {
	// Ports and Destinations are whom it calls.
	Ports        []uint16
	Destinations []netip.Prefix
	// UIDs are users whose calls go out untouched.
	UIDs []uint32
}

// check reports everything that makes a plan impossible or unsafe.
func (o Options) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.UID == 0 {
		bad("the sidecar's user is root: whatever runs as root would not be captured; run the sidecar as a user of its own")
	}
	switch {
	case o.InboundPort == 0 && o.OutboundPort == 0:
		bad("neither direction has a port: there is nothing to capture")
	case o.InboundPort == o.OutboundPort:
		bad("both directions have port %d: they are trusted differently and need a port each", o.InboundPort)
	}
	if len(o.Own) > MaxExclusions {
		bad("%d ports of the sidecar: at most %d are allowed", len(o.Own), MaxExclusions)
	}
	for _, own := range o.Own {
		if err := o.checkOwn(own); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, o.checkExclusions())...)
}

// ownName is what nft can read inside of quotes, for which it has no escapes,
// and what fits into the 128 bytes of a comment.
var ownName = regexp.MustCompile(`^[a-z0-9][-a-z0-9 ]{0,79}$`)

func (o Options) checkOwn(own OwnPort) error {
	switch {
	case !ownName.MatchString(own.Name):
		return fmt.Errorf("the name %q of port %d: use at most 80 lower-case letters, digits, '-' and spaces", own.Name, own.Port)
	case own.Port == 0:
		return fmt.Errorf("the port of %s is 0", own.Name)
	case own.Port == o.InboundPort || own.Port == o.OutboundPort:
		return fmt.Errorf("the port of %s, %d, is one that traffic is redirected to", own.Name, own.Port)
	}
	return nil
}

func (o Options) checkExclusions() error {
	return errors.Join(
		checkList("excluded inbound port", o.Inbound.Ports, checkPort),
		checkList("excluded source", o.Inbound.Sources, checkPrefix),
		checkList("excluded outbound port", o.Outbound.Ports, checkPort),
		checkList("excluded destination", o.Outbound.Destinations, checkPrefix),
		checkList("excluded user", o.Outbound.UIDs, func(uint32) error { return nil }),
	)
}

func checkList[T comparable](what string, list []T, check func(T) error) error {
	var errs []error
	if len(list) > MaxExclusions {
		errs = append(errs, fmt.Errorf("%d times %s: at most %d are allowed", len(list), what, MaxExclusions))
	}
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if err := check(v); err != nil {
			errs = append(errs, fmt.Errorf("%s %v: %w", what, v, err))
		} else if seen[v] {
			errs = append(errs, fmt.Errorf("%s %v is repeated", what, v))
		}
		seen[v] = true
	}
	return errors.Join(errs...)
}

func checkPort(p uint16) error {
	if p == 0 {
		return errors.New("not a port")
	}
	return nil
}

func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("not a network")
	case p.Addr().Is4In6():
		return errors.New("an IPv4 network in IPv6 form: no packet has such an address")
	case p != p.Masked():
		return fmt.Errorf("has bits beyond its length; write %s", p.Masked())
	}
	return nil
}
