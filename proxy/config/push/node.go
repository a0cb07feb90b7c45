package push

import (
	"errors"
	"fmt"
	"regexp"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
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

// Proto is the node as xDS sends it.
func (n Node) Proto() *core.Node {
	return &core.Node{
		Id: n.Namespace + "/" + n.Name,
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			keyNamespace: structpb.NewStringValue(n.Namespace),
			keyName:      structpb.NewStringValue(n.Name),
		}},
		UserAgentName:        "outrider",
		UserAgentVersionType: &core.Node_UserAgentVersion{UserAgentVersion: n.Version},
	}
}

// ParseNode undoes [Node.Proto].
func ParseNode(p *core.Node) (Node, error) {
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
