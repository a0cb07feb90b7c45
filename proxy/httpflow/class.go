package httpflow

import "github.com/outrider-mesh/outrider/proxy/flow"

// classOf tells what kind of stream a call has turned out to be, when its answer is
// known. A request that only asked for a tunnel is none.
func (c Call) classOf(q *flow.Request) flow.Class {
	if x := c.V2; x != nil {
		switch {
		case x.Err != nil:
		case x.Request.IsTunnel():
			return tunnelOf(x.Request.Protocol, x.Status)
		case x.Request.IsGRPC():
			return flow.GRPC
		case x.Events:
			return flow.EventStream
		}
		return flow.NoStream
	}
	switch {
	case q.Upgraded && q.Method == "CONNECT":
		return flow.Connect
	case q.Upgraded:
		return flow.Upgrade
	case c.V1.Events:
		return flow.EventStream
	}
	return flow.NoStream
}

// tunnelOf is for CONNECT over HTTP/2, which an answer of 2xx grants (RFC 9113 §8.5).
func tunnelOf(protocol string, status int) flow.Class {
	switch {
	case status < 200 || status > 299:
		return flow.NoStream
	case protocol != "":
		return flow.ExtendedConnect
	}
	return flow.Connect
}
