package main

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/capture"
)

// options are what the flags describe.
func (f *captureFlags) options() (capture.Options, error) {
	sources, badSources := networks("exclude-inbound-sources", f.sources.values)
	destinations, badDestinations := networks("exclude-outbound-destinations", f.destinations.values)
	err := errors.Join(badSources, badDestinations, atMost("uid", f.uid, math.MaxUint32),
		atMost("inbound-port", f.inbound, math.MaxUint16), atMost("outbound-port", f.outbound, math.MaxUint16))
	if err != nil {
		return capture.Options{}, err
	}
	o := capture.Options{
		UID: uint32(f.uid), InboundPort: uint16(f.inbound), OutboundPort: uint16(f.outbound), //nolint:gosec // bounded above
		Inbound:  capture.Inbound{Ports: f.inboundPorts.values, Sources: sources},
		Outbound: capture.Outbound{Ports: f.outboundPorts.values, Destinations: destinations, UIDs: f.uids.values},
	}
	for _, port := range f.own.values {
		o.Own = append(o.Own, capture.OwnPort{Name: ownName(port), Port: port})
	}
	return o, nil
}

// ownName says what a port of the sidecar is for, where that is agreed.
func ownName(port uint16) string {
	switch port {
	case 15000:
		return "admin"
	case 15020:
		return "metrics"
	case 15021:
		return "health"
	}
	return "listener"
}

func atMost(name string, value, most uint) error {
	if value > most {
		return fmt.Errorf("--%s: %d is more than %d", name, value, most)
	}
	return nil
}

func networks(name string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	var errs []error
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %q is not a network such as 10.0.0.0/8", name, text))
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(errs...)
}

// list is a flag of values with commas between them. Given twice, the second
// counts.
type list[T uint16 | uint32 | string] struct{ values []T }

// String implements flag.Value.
func (l *list[T]) String() string {
	words := make([]string, len(l.values))
	for i, v := range l.values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

// Set implements flag.Value.
func (l *list[T]) Set(text string) error {
	l.values = nil
	if text == "" {
		return nil
	}
	for word := range strings.SplitSeq(text, ",") {
		v, err := value[T](word)
		if err != nil {
			return err
		}
		l.values = append(l.values, v)
	}
	return nil
}

func value[T uint16 | uint32 | string](word string) (v T, err error) {
	switch p := any(&v).(type) {
	case *string:
		*p = word
	case *uint16:
		n, parseErr := strconv.ParseUint(word, 10, 16)
		*p, err = uint16(n), parseErr
	case *uint32:
		n, parseErr := strconv.ParseUint(word, 10, 32)
		*p, err = uint32(n), parseErr
	}
	if err != nil {
		err = fmt.Errorf("%q is not such a number", word)
	}
	return v, err
}
