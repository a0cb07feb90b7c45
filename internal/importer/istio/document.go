package istio

import "github.com/outrider-mesh/outrider/internal/importer"

// The documents, as the Istio API has them (security.istio.io/v1 and v1beta1).
type (
	authorizationPolicy struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       spec          `yaml:"spec"`
	}
	spec struct {
		Selector   *selector   `yaml:"selector"`
		TargetRef  *targetRef  `yaml:"targetRef"`
		TargetRefs []targetRef `yaml:"targetRefs"`
		Rules      []rule      `yaml:"rules"`
		Action     string      `yaml:"action"`
		Provider   *provider   `yaml:"provider"`
	}
	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	targetRef struct {
		Group     string `yaml:"group"`
		Kind      string `yaml:"kind"`
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	}
	provider struct {
		Name string `yaml:"name"`
	}
	rule struct {
		From []from      `yaml:"from"`
		To   []to        `yaml:"to"`
		When []condition `yaml:"when"`
	}
	from struct {
		Source *source `yaml:"source"`
	}
	to struct {
		Operation *operation `yaml:"operation"`
	}
	source struct {
		Principals           []string `yaml:"principals"`
		NotPrincipals        []string `yaml:"notPrincipals"`
		RequestPrincipals    []string `yaml:"requestPrincipals"`
		NotRequestPrincipals []string `yaml:"notRequestPrincipals"`
		Namespaces           []string `yaml:"namespaces"`
		NotNamespaces        []string `yaml:"notNamespaces"`
		ServiceAccounts      []string `yaml:"serviceAccounts"`
		NotServiceAccounts   []string `yaml:"notServiceAccounts"`
		IPBlocks             []string `yaml:"ipBlocks"`
		NotIPBlocks          []string `yaml:"notIpBlocks"`
		RemoteIPBlocks       []string `yaml:"remoteIpBlocks"`
		NotRemoteIPBlocks    []string `yaml:"notRemoteIpBlocks"`
	}
	operation struct {
		Hosts      []string `yaml:"hosts"`
		NotHosts   []string `yaml:"notHosts"`
		Ports      []string `yaml:"ports"`
		NotPorts   []string `yaml:"notPorts"`
		Methods    []string `yaml:"methods"`
		NotMethods []string `yaml:"notMethods"`
		Paths      []string `yaml:"paths"`
		NotPaths   []string `yaml:"notPaths"`
	}
	condition struct {
		Key       string   `yaml:"key"`
		Values    []string `yaml:"values"`
		NotValues []string `yaml:"notValues"`
	}
	peerAuthentication struct {
		APIVersion string        `yaml:"apiVersion"`
		Kind       string        `yaml:"kind"`
		Metadata   importer.Meta `yaml:"metadata"`
		Spec       struct {
			Selector *selector `yaml:"selector"`
			MTLS     *struct {
				Mode string `yaml:"mode"`
			} `yaml:"mtls"`
			PortLevelMTLS map[string]struct {
				Mode string `yaml:"mode"`
			} `yaml:"portLevelMtls"`
		} `yaml:"spec"`
	}
)
