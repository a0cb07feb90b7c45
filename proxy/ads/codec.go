package ads

import (
	"fmt"

	"google.golang.org/grpc/mem"

	"github.com/outrider-mesh/outrider/proxy/ads/wire"
)

// codec lets gRPC carry the messages of package wire.
type codec struct{}

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*wire.Request)
	if !ok {
		return nil, fmt.Errorf("%T is not sent to the control plane", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(r.Append(nil))}, nil
}

// Unmarshal implements encoding.CodecV2. What can't be read ends the stream: there is
// no nonce to refuse it by.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(**wire.Response)
	if !ok {
		return fmt.Errorf("%T is not read from the control plane", v)
	}
	r, err := wire.Parse(data.Materialize())
	if err != nil {
		return err
	}
	*into = r
	return nil
}

// Name implements encoding.CodecV2. It is what the messages are.
func (codec) Name() string { return "proto" }
