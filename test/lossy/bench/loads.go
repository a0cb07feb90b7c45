package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// A Load is what both hops carry in turns.
type Load struct {
	Name string `json:"name"`
	// What it is, in words.
	What string `json:"what"`
	// listener is the application that it is for.
	listener string
	Protocol target.Protocol `json:"protocol"`
	Path     string          `json:"path"`
	Callers  int             `json:"callers"`
	// Rate is in requests per second; 0 is a closed loop on a path without delay and
	// loss, which shows what a request costs.
	Rate float64 `json:"rate"`
	// MostLoss is the largest loss that it is tried at; 0: any.
	MostLoss float64 `json:"most_loss,omitempty"`
}

// loads are all, the one without losses last.
func loads() []Load {
	return []Load{
		{
			Name: "http1", What: "HTTP/1.1, answers of 1 KiB", listener: web,
			Protocol: target.HTTP1, Path: "/1024", Callers: 64, Rate: 200,
		},
		{
			Name: "grpc", What: "gRPC, unary, 1 KiB each way, all callers on one connection", listener: grpc,
			Protocol: target.GRPC, Path: "/bench.Echo/Call", Callers: 64, Rate: 400,
		},
		{
			Name: "bodies", What: "HTTP/1.1, answers of 256 KiB", listener: web,
			Protocol: target.HTTP1, Path: "/262144", Callers: 32, Rate: 10, MostLoss: 0.01,
		},
		{
			Name: "cost-http1", What: "HTTP/1.1, answers of 1 KiB, closed loop", listener: web,
			Protocol: target.HTTP1, Path: "/1024", Callers: 32,
		},
		{
			Name: "cost-grpc", What: "gRPC, unary, 1 KiB each way, closed loop", listener: grpc,
			Protocol: target.GRPC, Path: "/bench.Echo/Call", Callers: 32,
		},
	}
}

// losses are those that the load is tried at.
func (l Load) losses(o options) []float64 {
	if l.Rate == 0 {
		return []float64{0}
	}
	return slices.DeleteFunc(slices.Clone(o.losses), func(loss float64) bool { return l.MostLoss > 0 && loss > l.MostLoss })
}

// messageBytes is the length of a gRPC message, each way.
const messageBytes = 1024

// target is the load towards one listener.
func (l Load) target(addr string) (*target.Target, error) {
	o := target.Options{
		URL: "http://" + addr + l.Path, Protocol: l.Protocol, Host: "app.bench.test",
		Persistent: true, Timeout: 30 * time.Second,
	}
	if l.Protocol == target.GRPC {
		o.Body, o.Streams, o.Persistent = make([]byte, messageBytes), l.Callers, false
	}
	return target.New(o)
}

// String is the load with its callers and rate.
func (l Load) String() string {
	if l.Rate == 0 {
		return fmt.Sprintf("%s, %d callers", l.What, l.Callers)
	}
	return fmt.Sprintf("%s, %d callers, %.4g requests per second", l.What, l.Callers, l.Rate)
}
