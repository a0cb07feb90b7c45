package accesslog

import (
	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

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

func basisName(b authz.Basis) string {
	switch b {
	case authz.ByDeny:
		return "deny"
	case authz.ByAllow:
		return "allow"
	case authz.NoAllowMatched:
		return "no_allow_matched"
	case authz.ByDefault:
		return "default"
	}
	return "unknown"
}
