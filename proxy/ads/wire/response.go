package wire

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A Response is a DeltaDiscoveryResponse: what is new of one type.
type Response struct {
	// Type is the type URL of all resources.
	Type string
	// Version names the state that the response leads to, for people.
	Version string
	// Nonce is what an answer repeats.
	Nonce string
	// Resources are new or changed, each once.
	Resources []Resource
	// Removed are the names of those that are no more.
	Removed []string
}

// A Resource is one thing that the control plane tells.
type Resource struct {
	// Name and Version identify it and its content.
	Name, Version string
	// Body is the content.
	Body []byte
	// TTL is when it is to be forgotten; 0: never.
	TTL time.Duration
}

// The numbers of the fields of a DeltaDiscoveryResponse, a Resource, an Any and a
// Duration.
const (
	responseVersion   = 1
	responseResources = 2
	responseType      = 4
	responseNonce     = 5
	responseRemoved   = 6
	resourceVersion   = 1
	resourceBody      = 2
	resourceName      = 3
	resourceTTL       = 6
	anyType           = 1
	anyValue          = 2
	durationSeconds   = 1
	durationNanos     = 2
)

const (
	// maxResources bounds the resources of a response, and what it removes: all
	// documents of a workload, or the destinations that it may ask for.
	maxResources = push.MaxDestinations
	// maxText bounds names, versions, nonces and type URLs, in bytes.
	maxText = push.MaxNameBytes
	// maxTTL bounds for how long something may be true.
	maxTTL = 365 * 24 * time.Hour
)

// Parse reads a response. What it returns shares no memory with b.
func Parse(b []byte) (*Response, error) {
	if len(b) > push.MaxResponseBytes {
		return nil, fmt.Errorf("response: %d bytes, more than %d", len(b), push.MaxResponseBytes)
	}
	r := new(Response)
	var inside []string // type URLs of the resources
	err := fields(b, func(f field) (err error) {
		switch f.number {
		case responseVersion:
			r.Version, err = f.text()
		case responseType:
			r.Type, err = f.text()
		case responseNonce:
			r.Nonce, err = f.text()
		case responseRemoved:
			var name string
			name, err = f.text()
			r.Removed = append(r.Removed, name)
		case responseResources:
			var one Resource
			var kind string
			one, kind, err = f.resource()
			r.Resources, inside = append(r.Resources, one), append(inside, kind)
		}
		if len(r.Resources) > maxResources || len(r.Removed) > maxResources {
			return fmt.Errorf("it has more than %d resources", maxResources)
		}
		return err
	})
	if err == nil {
		err = r.check(inside)
	}
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return r, nil
}

// check looks at the response as a whole.
func (r *Response) check(inside []string) error {
	switch {
	case r.Type == "":
		return errors.New("it has no type")
	case r.Nonce == "":
		return errors.New("it has no nonce, so it can't be answered")
	}
	named := make(map[string]bool, len(r.Resources)+len(r.Removed))
	for i, one := range r.Resources {
		if inside[i] != r.Type {
			return fmt.Errorf("resource %.80q is of type %.80q, among those of %.80q", one.Name, inside[i], r.Type)
		}
		if named[one.Name] {
			return fmt.Errorf("resource %.80q is there twice", one.Name)
		}
		named[one.Name] = true
	}
	for _, name := range r.Removed {
		if name == "" || named[name] {
			return fmt.Errorf("resource %.80q is removed, and there or removed again", name)
		}
		named[name] = true
	}
	return nil
}

// resource reads a Resource and the type URL of what is in it.
func (f field) resource() (r Resource, kind string, err error) {
	message, err := f.message()
	if err != nil {
		return Resource{}, "", err
	}
	var bodies int
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case resourceName:
			r.Name, err = f.text()
		case resourceVersion:
			r.Version, err = f.text()
		case resourceTTL:
			r.TTL, err = f.duration()
		case resourceBody:
			bodies++
			kind, r.Body, err = f.any()
		}
		return err
	})
	switch {
	case err != nil:
		return Resource{}, "", err
	case r.Name == "" || r.Version == "" || bodies != 1:
		return Resource{}, "", fmt.Errorf("resource %.80q of version %.80q has %d contents, want a name, a version and one", r.Name, r.Version, bodies)
	}
	return r, kind, nil
}

func (f field) any() (kind string, value []byte, err error) {
	message, err := f.message()
	if err != nil {
		return "", nil, err
	}
	value = []byte{}
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case anyType:
			kind, err = f.text()
		case anyValue:
			var body []byte
			body, err = f.message()
			value = append([]byte{}, body...)
		}
		return err
	})
	return kind, value, err
}

func (f field) duration() (time.Duration, error) {
	message, err := f.message()
	if err != nil {
		return 0, err
	}
	var seconds, nanos int64
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case durationSeconds:
			seconds, err = f.integer()
		case durationNanos:
			nanos, err = f.integer()
			nanos = int64(int32(nanos)) //nolint:gosec // what protocol buffers do with an int32 that is too long
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if seconds < 0 || seconds > int64(maxTTL/time.Second) || nanos < 0 || nanos >= int64(time.Second) {
		return 0, fmt.Errorf("%d s and %d ns are no time to live", seconds, nanos)
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}

// A field is one of a message.
type field struct {
	number int32
	kind   protowire.Type
	value  []byte // as encoded, without its tag
}

// fields calls f with every field of a message.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(field{int32(number), kind, b[:n]}); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (f field) message() ([]byte, error) {
	if f.kind != protowire.BytesType {
		return nil, fmt.Errorf("field %d is of the wire type %d, want %d", f.number, f.kind, protowire.BytesType)
	}
	b, n := protowire.ConsumeBytes(f.value)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	return b, nil
}

func (f field) text() (string, error) {
	b, err := f.message()
	switch {
	case err != nil:
		return "", err
	case len(b) > maxText:
		return "", fmt.Errorf("field %d has %d bytes, more than %d", f.number, len(b), maxText)
	case !utf8.Valid(b):
		return "", fmt.Errorf("field %d is not UTF-8", f.number)
	}
	return string(b), nil
}

func (f field) integer() (int64, error) {
	if f.kind != protowire.VarintType {
		return 0, fmt.Errorf("field %d is of the wire type %d, want %d", f.number, f.kind, protowire.VarintType)
	}
	v, n := protowire.ConsumeVarint(f.value)
	if n < 0 {
		return 0, protowire.ParseError(n)
	}
	return int64(v), nil //nolint:gosec // what protocol buffers do with an int64
}
