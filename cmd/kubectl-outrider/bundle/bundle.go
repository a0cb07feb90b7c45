// Package bundle collects what somebody needs who helps with a mesh and can't reach
// the cluster: an archive that can be read before it is sent. No Secret is read. Of
// objects only what is known to be harmless is taken; from everything, logs included,
// what has the form of a key, a token or credentials is removed, and from policies and
// records the values of headers and queries.
package bundle

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/findings"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

const (
	// maxSidecars is how many sidecars are asked for all that they know.
	maxSidecars = 20
	// maxFile, in bytes, bounds each file of the archive.
	maxFile = 16 << 20
)

// Source is where more than a survey is read.
type Source interface {
	sidecars.Dialer
	// Log reads the end of a container's log.
	Log(ctx context.Context, namespace, pod, container string) ([]byte, error)
}

// Write writes the archive, a tar file compressed with gzip, and returns the names of
// its files. What can't be read is noted in it.
func Write(ctx context.Context, s *survey.Survey, from Source, to io.Writer) ([]string, error) {
	zip := gzip.NewWriter(to)
	a := &archive{tar: tar.NewWriter(zip), at: s.At}
	a.text("README.txt", readme)
	a.object("version.json", map[string]any{"kubectl-outrider": buildinfo.Version(), "kubernetes": s.Kubernetes, "at": s.At.UTC()})
	a.object("findings.json", findings.Check(s))
	a.objects(s)
	a.policies(s)
	a.running(ctx, s, from)
	a.text("left-out.txt", strings.Join(a.leftOut, "\n")+"\n")
	return a.names, errors.Join(a.err, a.tar.Close(), zip.Close())
}

const readme = `This archive describes a mesh of Outrider for somebody who helps with it.

It holds no Secret, no environment of containers, no header values and no bodies. Keys,
tokens and credentials were removed by their form. It does hold names, addresses,
labels, images, request paths and policies: read it before you send it.

findings.json   what kubectl outrider check says
cluster/        what was taken of namespaces, pods, services and the control plane
policies/       the documents, without the values of headers
sidecars/       what sidecars say: metrics, configuration, connections, newest refusals
logs/           the ends of their logs, and of the control plane's
left-out.txt    what could not be read
`

// An archive keeps the first error, so that files need not be checked one by one.
type archive struct {
	tar     *tar.Writer
	at      time.Time
	names   []string
	leftOut []string
	err     error
}

// file adds one. What it is given was cleaned by its structure; this is the last net.
func (a *archive) file(name string, text []byte) {
	if text = scrub(text); len(text) > maxFile {
		a.skip(name, fmt.Errorf("it has %d bytes", len(text)))
		return
	}
	if a.err != nil {
		return
	}
	name = path.Join("outrider-bugreport", name)
	a.names = append(a.names, name)
	a.err = a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: a.at, Format: tar.FormatPAX})
	if a.err == nil {
		_, a.err = a.tar.Write(text)
	}
}

func (a *archive) text(name, text string) { a.file(name, []byte(text)) }

// object adds a value as JSON, cleaned.
func (a *archive) object(name string, value any) {
	text, err := json.Marshal(value)
	if err == nil {
		text, err = tree(text)
	}
	if err != nil {
		a.skip(name, err)
		return
	}
	a.file(name, append(text, '\n'))
}

func (a *archive) skip(name string, err error) {
	a.leftOut = append(a.leftOut, fmt.Sprintf("%s: %v", name, err))
}

func (a *archive) objects(s *survey.Survey) {
	var namespaces []object
	for _, ns := range s.Namespaces {
		namespaces = append(namespaces, object{"", ns.Name, ns.CreationTimestamp.Time, ns.Labels, ours(ns.Annotations)})
	}
	var pods []pod
	for i := range s.Pods {
		pods = append(pods, reducePod(&s.Pods[i]))
	}
	var services []service
	for i := range s.Services {
		services = append(services, reduceService(&s.Services[i]))
	}
	a.object("cluster/namespaces.json", namespaces)
	a.object("cluster/pods.json", pods)
	a.object("cluster/services.json", services)
	if s.ControlPlane != nil {
		a.object("cluster/control-plane.json", reduceDeployment(s.ControlPlane))
	}
	for _, u := range s.Unread {
		a.skip(u.What, u.Err)
	}
}

func (a *archive) policies(s *survey.Survey) {
	for i := range s.Policies {
		p := &s.Policies[i]
		name := path.Join("policies", p.Kind, p.Metadata.Namespace, p.Metadata.Name+".json")
		a.object(name, map[string]any{"spec": p.Spec, "status": p.Status, "generation": p.Metadata.Generation})
	}
}

// running adds what sidecars and the control plane say.
func (a *archive) running(ctx context.Context, s *survey.Survey, from Source) {
	asked := 0
	for i := range s.Pods {
		p := &s.Pods[i]
		switch {
		case p.Namespace == s.System:
			a.log(ctx, from, p, "injector")
		case !p.Injected():
		case asked == maxSidecars:
			a.skip("sidecars/"+p.String(), fmt.Errorf("%d sidecars were asked", maxSidecars))
		default:
			asked++
			a.sidecar(ctx, from, p)
			a.log(ctx, from, p, mutate.Container)
		}
	}
}

func (a *archive) sidecar(ctx context.Context, from Source, p *survey.Pod) {
	one := sidecars.New(from, p.Namespace, p.Name)
	for _, question := range []struct {
		port int
		path string
		json bool
	}{
		{sidecars.MetricsPort, "/metrics", false},
		{sidecars.AdminPort, "/ready", false},
		{sidecars.AdminPort, "/version", true},
		{sidecars.AdminPort, "/config_dump", true},
		{sidecars.AdminPort, "/connections", true},
		{sidecars.AdminPort, "/decisions", true},
	} {
		name := path.Join("sidecars", p.String(), question.path)
		text, err := one.Text(ctx, question.port, question.path)
		if err == nil && question.json {
			name += ".json"
			text, err = tree(text)
		}
		if err != nil {
			a.skip(name, err)
			continue
		}
		a.file(name, text)
	}
}

func (a *archive) log(ctx context.Context, from Source, p *survey.Pod, container string) {
	name := path.Join("logs", p.String()+".log")
	text, err := from.Log(ctx, p.Namespace, p.Name, container)
	if err != nil {
		a.skip(name, err)
		return
	}
	a.file(name, lines(text))
}
