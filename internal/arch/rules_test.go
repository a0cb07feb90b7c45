package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A rule forbids imports and says why. A broken rule prints its reason, so
// write it for whoever has just broken it.
type rule struct {
	// of are the packages the rule is about, except those.
	of, except []string
	// forbid are what they may not import, but for what is allowed.
	forbid, allow []string
	// tests tells that test files are bound by it as well.
	tests bool
	why   string
}

// testOnly are the packages made for tests. They may use each other.
var testOnly = []string{"./internal/testkit/...", "./identity/identitytest", "./authz/authztest", "./internal/importer/importertest", "./cmd/kubectl-outrider/kubetest", "./test/..."}

// engines is all that an HTTP engine may know of the sidecar.
var engines = []string{"./proxy/limits", "./proxy/message", "./proxy/socket"}

// The pure tree may not reach what a pure function has no use for.
var outside = []string{"os", "os/exec", "net", "net/http", "log", "log/slog", "syscall"}

func rules() []rule {
	all := []rule{
		{
			of: []string{"./authz/..."}, forbid: []string{"./..."}, allow: []string{"./authz/..."}, tests: true,
			why: "authorization is a function of its arguments; facts are handed to it, so that it can be tested as a table and used by every program",
		},
		{
			of: []string{"./authz/..."}, forbid: outside,
			why: "a decision does no I/O and writes no log; who asks for it does",
		},
		{
			of: []string{"./authz"}, forbid: []string{"./authz/..."},
			why: "the root of authz is its vocabulary, on which the rest of the tree stands",
		},
		{
			of: []string{"./identity/..."}, forbid: []string{"./..."}, allow: []string{"./identity/..."},
			why: "identity is what everything else rests on; it rests on nothing of ours",
		},
		{
			of: []string{"./identity"}, forbid: append([]string{"./identity/..."}, outside...),
			why: "the root of identity is its vocabulary: sources below it do the I/O",
		},
		{
			of: []string{"./proxy/inbound"}, forbid: []string{"./proxy/outbound"},
			why: "the directions differ in whom they trust; what they share belongs into a stage",
		},
		{
			of: []string{"./proxy/outbound"}, forbid: []string{"./proxy/inbound"},
			why: "the directions differ in whom they trust; what they share belongs into a stage",
		},
		{
			of: []string{"./proxy/http1", "./proxy/http2"}, forbid: []string{"./..."}, allow: engines,
			why: "an engine knows HTTP, its limits and its socket and nothing of the sidecar, so that it can be tested against other implementations",
		},
		{
			of: []string{"./proxy/http2"}, forbid: []string{"net/http/httputil", "golang.org/x/net/http2/h2c"},
			why: "the engine stands on frames and HPACK; what buffers, repairs and reschedules messages is what it replaces",
		},
		{
			of: []string{"./proxy/message"}, forbid: append([]string{"./..."}, outside...),
			why: "what the engines agree about is a matter of bytes; whoever knows more than they do belongs elsewhere",
		},
		{
			of: []string{"./proxy/socket"}, forbid: []string{"./..."},
			why: "a connection that knows what it carries is another package",
		},
		{
			of: []string{"./proxy/inspect/seclang", "./proxy/inspect/decode", "./proxy/inspect/pattern"}, forbid: append([]string{"./..."}, outside...),
			why: "what is proved about rules rests on these; each is a function of its arguments, tested against the engine by itself",
		},
		{
			of: []string{"./proxy/inspect/gate"}, forbid: []string{"./...", "github.com/corazawaf/coraza/..."}, allow: []string{"./proxy/inspect/seclang", "./proxy/inspect/decode", "./proxy/inspect/pattern"},
			why: "the gate decides without the engine, so it can't be allowed to ask it",
		},
		{
			of: []string{"./proxy/inspect/bodies"}, forbid: append([]string{"./..."}, outside...),
			why: "rules, the gate and detectors read bodies by the same readers, which therefore know none of them",
		},
		{
			of: []string{"./proxy/inspect/payload/..."}, forbid: append([]string{"./..."}, outside...), allow: []string{"./proxy/inspect/payload/..."},
			why: "what in a value is an attack is a matter of its bytes; where it came from and what becomes of it is known above",
		},
		{
			of: []string{"./proxy/inspect/evidence"}, forbid: append([]string{"./..."}, outside...), allow: []string{"./proxy/flow", "./proxy/inspect/payload/...", "./proxy/inspect/bodies"},
			why: "the mesh profile is a function of a request and of what the rule set said, so that it can be evaluated without an engine",
		},
		{
			of: []string{"./proxy/probe"}, forbid: []string{"./proxy/..."}, allow: []string{"./proxy/config"},
			why: "what is asked of an application in the kubelet's stead has nothing to do with its traffic",
		},
		{
			of: []string{"./proxy/limits"}, forbid: []string{"./..."},
			why: "every package may ask for a bound, so this one asks nobody",
		},
		{
			of: []string{"./proxy/flow"}, forbid: []string{"./..."}, allow: []string{"./authz", "./identity"},
			why: "every stage adds to a flow, so it can't know any of them",
		},
		{
			of: []string{"./proxy/config"}, forbid: []string{"./proxy/..."}, allow: []string{"./proxy/config/...", "./proxy/limits"},
			why: "the control plane reads this package too; through it, it must not link the data plane",
		},
		{
			of: []string{"./proxy/..."}, forbid: []string{"./cmd/...", "./injector/...", "./internal/demo", "./loadtest/..."},
			why: "the data plane doesn't know who starts, configures or measures it",
		},
		{
			of: []string{"./loadtest/..."}, except: []string{"./loadtest/self"}, forbid: []string{"./proxy/..."}, allow: []string{"./proxy/config/strict", "./proxy/flow"},
			why: "what measures the sidecar must not be built from it; it reads its words (./proxy/flow), and only the mesh that the tool starts itself is made of it",
		},
		{
			of: []string{"./loadtest/pace", "./loadtest/hist", "./loadtest/stats"}, forbid: []string{"./..."},
			why: "arithmetic that is tested by itself",
		},
		{
			of: []string{"./injector/..."}, forbid: []string{"./proxy/..."}, allow: []string{"./proxy/config/..."},
			why: "the control plane and the sidecar meet in the documents, not in code",
		},
		{
			of: []string{"./..."}, except: append([]string{"./identity/devca", "./internal/demo", "./loadtest/self"}, testOnly...), forbid: []string{"./identity/devca"},
			why: "its keys are worth nothing: whoever is on the machine may ask for an identity",
		},
		{
			of: []string{"./..."}, except: testOnly, forbid: append([]string{"testing", "testing/...", "net/http/httptest"}, testOnly...),
			why: "what is made for tests makes things up, and must not be linked into a program",
		},
		{
			of:     []string{"./..."},
			except: []string{"./injector/...", "./cmd/outrider-injector", "./cmd/kubectl-outrider/...", "./test/kube/...", "./test/pushbench/..."},
			forbid: []string{"k8s.io/...", "sigs.k8s.io/..."}, tests: true,
			why: "a Kubernetes client more than doubles the sidecar; it holds no credentials of the cluster and needs none",
		},
		{
			of: []string{"./internal/lifecycle", "./internal/logging", "./internal/buildinfo", "./internal/child", "./internal/footprint"}, forbid: []string{"./..."},
			why: "mechanisms for every program; what they need is handed to them",
		},
		{
			of: []string{"./..."}, forbid: []string{"math/rand"}, tests: true,
			why: "math/rand/v2 has no seed to forget and no lock; where a guess would matter, crypto/rand",
		},
		{
			of: []string{"./..."}, forbid: []string{"io/ioutil", "github.com/pkg/errors", "golang.org/x/exp/..."}, tests: true,
			why: "the standard library has it",
		},
		{
			of: []string{"./..."}, forbid: []string{"github.com/stretchr/testify/...", "github.com/onsi/..."}, tests: true,
			why: "tests use the standard library and go-cmp, so that there is one way to write them",
		},
	}
	return append(all, stageRules()...)
}

// stageRules are one rule for each stage: it knows neither another stage nor
// the order it stands in.
func stageRules() []rule {
	stages := []string{"./proxy/capture", "./proxy/detect", "./proxy/enforce", "./proxy/inspect", "./proxy/forward"}
	var all []rule
	for _, stage := range stages {
		others := []string{"./proxy/inbound", "./proxy/outbound"}
		for _, other := range stages {
			if other != stage {
				others = append(others, other+"/...")
			}
		}
		all = append(all, rule{
			of: []string{stage + "/..."}, forbid: others,
			why: "stages meet in proxy/flow only; their order is written once, in inbound and in outbound",
		})
	}
	return all
}

// broken describes the import if the rule forbids it; "" otherwise.
func (r rule) broken(importer string, test bool, imported string) string {
	if test && !r.tests || !matchesAny(r.of, importer) || matchesAny(r.except, importer) {
		return ""
	}
	// A package's external tests import the package itself.
	if !matchesAny(r.forbid, imported) || matchesAny(r.allow, imported) || imported == importer {
		return ""
	}
	return fmt.Sprintf("%s imports %s: %s", importer, imported, r.why)
}

func TestImports(t *testing.T) {
	m := load(t)
	var checked int
	for _, p := range m.pkgs {
		for _, f := range p.files {
			for _, imported := range f.imports() {
				for _, r := range rules() {
					checked++
					if why := r.broken(p.path, f.test, imported); why != "" {
						t.Errorf("%s: %s", f.name, why)
					}
				}
			}
		}
	}
	if checked < 1000 {
		t.Errorf("checked only %d pairs of import and rule", checked)
	}
}

func TestImportRulesBite(t *testing.T) {
	var tried int
	for i, r := range rules() {
		if r.why == "" || len(r.of) == 0 || len(r.forbid) == 0 {
			t.Errorf("rule %d says not what, for whom or why: %+v", i, r)
			continue
		}
		for _, of := range r.of {
			for _, forbidden := range r.forbid {
				if of == forbidden {
					continue
				}
				tried++
				importer := strings.Replace(of, "...", "anything", 1)
				imported := strings.Replace(forbidden, "...", "else", 1)
				if r.broken(importer, false, imported) == "" {
					t.Errorf("rule %d lets %s import %s", i, importer, imported)
				}
			}
		}
		for _, except := range r.except {
			if why := r.broken(strings.TrimSuffix(except, "/..."), false, strings.TrimSuffix(r.forbid[0], "/...")); why != "" {
				t.Errorf("rule %d binds what it excepts: %s", i, why)
			}
		}
	}
	if tried < 60 {
		t.Errorf("tried only %d forbidden imports", tried)
	}
}

// A rule about a package that is not there any more passes for ever.
func TestImportRulesNamePackagesThatExist(t *testing.T) {
	m := load(t)
	named := map[string]bool{}
	for _, r := range rules() {
		for _, pattern := range slices.Concat(r.of, r.except, r.forbid, r.allow) {
			named[pattern] = strings.HasPrefix(pattern, "./")
		}
	}
	var ours int
	for pattern, our := range named {
		if !our {
			continue
		}
		ours++
		if !m.has(pattern) {
			t.Errorf("a rule names %s, which is not there", pattern)
		}
	}
	if ours < 25 {
		t.Errorf("the rules name only %d of our packages", ours)
	}
}

// dependencies are the modules that we import, with the need for each. A new
// one is a decision: which program grows, by how much, and what is it worth?
var dependencies = map[string]string{
	"github.com/spiffe/go-spiffe/v2":             "SPIFFE IDs, SVIDs, the Workload API",
	"github.com/corazawaf/coraza/v3":             "the inspection engine",
	"github.com/corazawaf/coraza-coreruleset/v4": "the OWASP core rule set",
	"github.com/corazawaf/libinjection-go":       "the engine's detection of SQL and scripts, for what it need not be asked",
	"github.com/tidwall/gjson":                   "whether the engine takes a body for JSON; it links it anyway",
	"github.com/prometheus/client_golang":        "metrics",
	"github.com/prometheus/client_model":         "metrics, read back",
	"github.com/prometheus/common":               "the kubectl plugin: metrics in their text form",
	"github.com/fsnotify/fsnotify":               "watching directories of documents and keys",
	"go.yaml.in/yaml/v3":                         "configuration and policy documents",
	"google.golang.org/grpc":                     "the transport of the Workload API and of what the control plane pushes",
	"google.golang.org/protobuf":                 "messages as they are on the wire",
	"google.golang.org/genproto/googleapis/rpc":  "the injector: why a sidecar refuses what it was sent",
	"github.com/envoyproxy/go-control-plane":     "the injector: the messages of delta xDS; 1 MiB and 2.5 MiB of memory, which is why the sidecar has its own few (proxy/ads/wire)",
	"golang.org/x/sys":                           "socket options, clocks and timers",
	"golang.org/x/net":                           "HTTP/2 frames and HPACK; what may stand in a header field",
	"github.com/quic-go/quic-go":                 "QUIC for the hop, HTTP/3 for the load tool",
	"github.com/HdrHistogram/hdrhistogram-go":    "latencies of the load tool",
	"github.com/google/nftables":                 "redirecting traffic, 0.4 MiB; the image has no nft or iptables binary to call",
	"github.com/mdlayher/netlink":                "bounds on what nftables asks the kernel",
	"k8s.io/api":                                 "the injector and the kubectl plugin: Kubernetes' own objects",
	"k8s.io/apimachinery":                        "the injector and the kubectl plugin: what all objects have in common",
	"k8s.io/client-go":                           "the injector: asking the API server; 19 MiB, which is why it is a program of its own; the kubectl plugin: kubeconfig files and reaching ports of pods, without the typed clients",
	"k8s.io/streaming":                           "the kubectl plugin: streams to ports of pods",
	"k8s.io/klog/v2":                             "the injector: sending the client's own log where ours goes",
	"sigs.k8s.io/yaml":                           "the injector and the kubectl plugin: Kubernetes' objects as people write them",
	"github.com/google/go-cmp":                   "tests: differences",
	"github.com/rogpeppe/go-internal":            "tests: scripts",
	"go.uber.org/goleak":                         "tests: goroutine leaks",
	"github.com/gorilla/websocket":               "tests: the API server's end of a WebSocket, as the Kubernetes client has the other",
	"github.com/coder/websocket":                 "tests: a WebSocket peer",
	"github.com/andybalholm/brotli":              "inspecting bodies that are compressed with brotli, 0.3 MiB",
	"github.com/klauspost/compress":              "inspecting bodies that are compressed with Zstandard, 0.4 MiB",
}

func TestDependenciesAreKnown(t *testing.T) {
	m := load(t)
	var seen int
	for _, p := range m.pkgs {
		for _, f := range p.files {
			for _, imported := range f.imports() {
				host, _, _ := strings.Cut(imported, "/")
				if !strings.Contains(host, ".") || strings.HasPrefix(imported, "./") {
					continue
				}
				seen++
				if need := needFor(imported); need == "" {
					t.Errorf("%s imports %s, which is no known dependency", f.name, imported)
				} else if strings.HasPrefix(need, "tests:") && !f.test && !matchesAny(testOnly, p.path) {
					t.Errorf("%s imports %s, which is for tests", f.name, imported)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("saw only %d imports of other modules", seen)
	}
}

func needFor(imported string) string {
	for name, need := range dependencies {
		if matches(name+"/...", imported) {
			return need
		}
	}
	return ""
}
