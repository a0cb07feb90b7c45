package linkerd

import (
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// The documents, as Linkerd's policy API and the Gateway API have them. What is
// opaque has no equal here wherever it is present.
type (
	serverDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       serverSpec    `yaml:"spec"`
	}
	serverSpec struct {
		PodSelector              *selector     `yaml:"podSelector"`
		ExternalWorkloadSelector strict.Opaque `yaml:"externalWorkloadSelector"`
		Port                     port          `yaml:"port"`
		ProxyProtocol            string        `yaml:"proxyProtocol"`
		AccessPolicy             string        `yaml:"accessPolicy"`
	}
	selector struct {
		MatchLabels      map[string]string `yaml:"matchLabels"`
		MatchExpressions []expression      `yaml:"matchExpressions"`
	}
	expression struct {
		Key      string   `yaml:"key"`
		Operator string   `yaml:"operator"`
		Values   []string `yaml:"values"`
	}
	policyDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			TargetRef reference `yaml:"targetRef"`
			// RequiredAuthenticationRefs must be there: an empty one lets
			// everybody in.
			RequiredAuthenticationRefs *[]reference `yaml:"requiredAuthenticationRefs"`
		} `yaml:"spec"`
	}
	reference struct {
		Group     string `yaml:"group"`
		Kind      string `yaml:"kind"`
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	}
	meshTLSDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			Identities   []string    `yaml:"identities"`
			IdentityRefs []reference `yaml:"identityRefs"`
		} `yaml:"spec"`
	}
	networkDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			Networks []network `yaml:"networks"`
		} `yaml:"spec"`
	}
	network struct {
		CIDR   string   `yaml:"cidr"`
		Except []string `yaml:"except"`
	}
	httpRouteDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			ParentRefs []parent   `yaml:"parentRefs"`
			Hostnames  []string   `yaml:"hostnames"`
			Rules      []httpRule `yaml:"rules"`
		} `yaml:"spec"`
	}
	parent struct {
		reference   `yaml:",inline"`
		Port        strict.Opaque `yaml:"port"`
		SectionName strict.Opaque `yaml:"sectionName"`
	}
	unsupported struct {
		Name        strict.Opaque `yaml:"name"`
		Filters     strict.Opaque `yaml:"filters"`
		BackendRefs strict.Opaque `yaml:"backendRefs"`
		Timeouts    strict.Opaque `yaml:"timeouts"`
		Retry       strict.Opaque `yaml:"retry"`
		Persistence strict.Opaque `yaml:"sessionPersistence"`
	}
	httpRule struct {
		unsupported `yaml:",inline"`
		Matches     []httpMatch `yaml:"matches"`
	}
	httpMatch struct {
		Path        *valueMatch   `yaml:"path"`
		Headers     []headerMatch `yaml:"headers"`
		QueryParams strict.Opaque `yaml:"queryParams"`
		Method      string        `yaml:"method"`
	}
	valueMatch struct {
		Type  string `yaml:"type"`
		Value string `yaml:"value"`
	}
	headerMatch struct {
		Type  string `yaml:"type"`
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	}
	grpcRouteDocument struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			ParentRefs []parent   `yaml:"parentRefs"`
			Hostnames  []string   `yaml:"hostnames"`
			Rules      []grpcRule `yaml:"rules"`
		} `yaml:"spec"`
	}
	grpcRule struct {
		unsupported `yaml:",inline"`
		Matches     []grpcMatch `yaml:"matches"`
	}
	grpcMatch struct {
		Method  *methodMatch  `yaml:"method"`
		Headers []headerMatch `yaml:"headers"`
	}
	methodMatch struct {
		Type    string `yaml:"type"`
		Service string `yaml:"service"`
		Method  string `yaml:"method"`
	}
)

// A port is a number or a name.
type port string

// UnmarshalText takes both.
func (p *port) UnmarshalText(text []byte) error {
	*p = port(text)
	return nil
}
