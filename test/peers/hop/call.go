package hop

import (
	"context"
	"errors"
	"net/http"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// Method is the path of every gRPC call.
const Method = "/bench.Echo/Say"

// prefix is the length of what stands before a message, in bytes.
const prefix = 5

// CallOptions describe a unary gRPC call of a message of that many bytes, which the app
// sends back.
func CallOptions(addr string, size, streams int) target.Options {
	length := int64(prefix + size)
	return target.Options{
		URL: "http://" + addr + Method, Protocol: target.GRPC, Host: Host, Body: make([]byte, size),
		Header: []target.Field{{Name: "User-Agent", Value: "outrider-bench"}},
		Status: http.StatusOK, Length: &length, Streams: streams,
	}
}

// Call makes one call on a connection of its own.
func Call(ctx context.Context, addr string, size int) error {
	to, err := target.New(CallOptions(addr, size, 1))
	if err != nil {
		return err
	}
	caller, err := to.Open(ctx)
	if err != nil {
		return err
	}
	_, err = caller.Call(ctx)
	return errors.Join(err, caller.Close())
}
