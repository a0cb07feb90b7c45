package capture

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// register is where one expression leaves a value for the next. Rules of ours
// compare one value at a time.
const register = 1

// Offsets and lengths in bytes: IPv4 in RFC 791 §3.1, IPv6 in RFC 8200 §3, TCP
// in RFC 9293 §3.1.
const (
	sourceOffset4, destinationOffset4 = 12, 16
	sourceOffset6, destinationOffset6 = 8, 24
	portOffset, portLength            = 2, 2
)

// expressions are a rule as the kernel wants it.
func (r rule) expressions() ([]expr.Any, error) {
	var all []expr.Any
	for _, m := range r.match {
		e, err := encode(m)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.why, err)
		}
		all = append(all, e...)
	}
	all = append(all, &expr.Counter{})
	switch {
	case r.then.redirect != 0:
		return append(all,
			&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(r.then.redirect)},
			&expr.Redir{RegisterProtoMin: register, RegisterProtoMax: register, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
		), nil
	case r.then.jump != "":
		return append(all, &expr.Verdict{Kind: expr.VerdictJump, Chain: r.then.jump}), nil
	}
	return append(all, &expr.Verdict{Kind: expr.VerdictReturn}), nil
}

func encode(m match) ([]expr.Any, error) {
	switch m := m.(type) {
	case tcp:
		return isTCP(expr.CmpOpEq), nil
	case notTCP:
		return isTCP(expr.CmpOpNeq), nil
	case notLocal:
		return []expr.Any{
			&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true},
			compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
		}, nil
	case viaLoopback:
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, "lo")
		return meta(expr.MetaKeyOIFNAME, name), nil
	case fromUser:
		return meta(expr.MetaKeySKUID, binaryutil.NativeEndian.PutUint32(m.uid)), nil
	case priority:
		return meta(expr.MetaKeyPRIORITY, binaryutil.NativeEndian.PutUint32(m.value)), nil
	case toPort:
		return append(isTCP(expr.CmpOpEq), load(expr.PayloadBaseTransportHeader, portOffset, portLength),
			compare(expr.CmpOpEq, binaryutil.BigEndian.PutUint16(m.port))), nil
	case toNetwork:
		return isIn(m.prefix, destinationOffset4, destinationOffset6), nil
	case inNetwork:
		return isIn(m.prefix, sourceOffset4, sourceOffset6), nil
	}
	return nil, errors.New("a condition that the kernel is not told of")
}

func meta(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: register}, compare(expr.CmpOpEq, value)}
}

func compare(op expr.CmpOp, value []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: register, Data: value}
}

func load(from expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: from, Offset: offset, Len: length}
}

func isTCP(op expr.CmpOp) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, compare(op, []byte{unix.IPPROTO_TCP})}
}

// isIn compares as many leading bits of an address as the prefix has. What is
// compared depends on the family, so that is compared first.
func isIn(p netip.Prefix, offset4, offset6 uint32) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV6), offset6
	if p.Addr().Is4() {
		family, offset = unix.NFPROTO_IPV4, offset4
	}
	all := meta(expr.MetaKeyNFPROTO, []byte{family})
	if p.Bits() == 0 {
		return all
	}
	addr := p.Addr().AsSlice()
	if p.Bits()%8 == 0 { // as nft does it: no more is loaded than is compared
		addr = addr[:p.Bits()/8]
	}
	length := uint32(len(addr)) //nolint:gosec // at most 16
	all = append(all, load(expr.PayloadBaseNetworkHeader, offset, length))
	if p.Bits()%8 != 0 {
		all = append(all, &expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: length, Mask: mask(p), Xor: make([]byte, length),
		})
	}
	return append(all, compare(expr.CmpOpEq, addr))
}

// mask has the leading bits of the prefix set.
func mask(p netip.Prefix) []byte {
	m := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}
