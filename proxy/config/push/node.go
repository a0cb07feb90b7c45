package push

import (
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Node says which workload asks. It is a claim: the control plane believes it
// only as far as the SVID of the connection and the API server bear it out.
type Node struct {
	// Namespace and Name are those of the pod.
	Namespace, Name string
	// Version is that of the sidecar, for people.
	Version string
}

// The keys of a node's metadata.
const (
	keyNamespace = "namespace"
	keyName      = "name"
)

// ErrNode is about a node that does not say who it is.
var ErrNode = errors.New("the node does not say which workload it is")

var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// A NodeMessage is a node as xDS has it: envoy.config.core.v3.Node. It is an
// interface for the sake of the sidecar, which reads none: the message's own package
// brings some hundred others, 1 MiB of program and 2.5 MiB of memory.
type NodeMessage interface {
	proto.Message
	GetMetadata() *structpb.Struct
	GetUserAgentVersion() string
}

// The numbers of the fields that a node has, in config/core/v3/base.proto and
// google/protobuf/struct.proto.
const (
	nodeID           protowire.Number = 1
	nodeMetadata     protowire.Number = 3
	nodeAgent        protowire.Number = 6
	nodeAgentVersion protowire.Number = 7
	structFields     protowire.Number = 1
	entryKey         protowire.Number = 1
	entryValue       protowire.Number = 2
	valueString      protowire.Number = 3
)

// Append appends the node to b as xDS sends it.
func (n Node) Append(b []byte) []byte {
	b = appendString(b, nodeID, n.Namespace+"/"+n.Name)
	metadata := appendEntry(nil, keyNamespace, n.Namespace)
	metadata = appendEntry(metadata, keyName, n.Name)
	b = protowire.AppendTag(b, nodeMetadata, protowire.BytesType)
	b = protowire.AppendBytes(b, metadata)
	b = appendString(b, nodeAgent, "outrider")
	return appendString(b, nodeAgentVersion, n.Version)
}

func appendString(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// appendEntry appends one field of a Struct, whose value is text.
func appendEntry(b []byte, key, value string) []byte {
	v := appendString(nil, valueString, value)
	entry := appendString(nil, entryKey, key)
	entry = protowire.AppendBytes(protowire.AppendTag(entry, entryValue, protowire.BytesType), v)
	return protowire.AppendBytes(protowire.AppendTag(b, structFields, protowire.BytesType), entry)
}

// ParseNode undoes [Node.Append].
func ParseNode(p NodeMessage) (Node, error) {
	if p == nil {
		return Node{}, fmt.Errorf("%w: there is none", ErrNode)
	}
	if size := proto.Size(p); size > MaxNodeBytes {
		return Node{}, fmt.Errorf("%w: it has %d bytes, more than %d", ErrNode, size, MaxNodeBytes)
	}
	fields := p.GetMetadata().GetFields()
	n := Node{
		Namespace: fields[keyNamespace].GetStringValue(), Name: fields[keyName].GetStringValue(),
		Version: p.GetUserAgentVersion(),
	}
	if !name.MatchString(n.Namespace) || !name.MatchString(n.Name) {
		return Node{}, fmt.Errorf("%w: namespace %.80q, name %.80q", ErrNode, n.Namespace, n.Name)
	}
	return n, nil
}
