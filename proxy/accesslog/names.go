package accesslog

import "github.com/outrider-mesh/outrider/proxy/flow"

func directionName(d flow.Direction) string {
	switch d {
	case flow.Inbound:
		return "inbound"
	case flow.Outbound:
		return "outbound"
	}
	return "unknown"
}

func protocolName(p flow.Protocol) string {
	switch p {
	case flow.HTTP1:
		return "http1"
	case flow.TCP:
		return "tcp"
	case flow.Undetected:
	}
	return "unknown"
}

func securityName(s flow.Security) string {
	if s == flow.MutualTLS {
		return "mutual_tls"
	}
	return "plaintext"
}
