package engines

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// InspectBytes is how much of a body every engine looks at.
const InspectBytes = 128 << 10

// Names lists the engines in the order of the cells.
func Names() []string { return []string{"stock Coraza", "Outrider, crs", "Outrider, mesh"} }

// An engine makes a function that judges one request, again and again.
type engine struct {
	name    string
	prepare func(Request) judge
	close   func()
}

// judge tells whether a request is an attack.
type judge func(ctx context.Context) (attack bool, err error)

func build() ([]engine, error) {
	stock, err := newStock()
	if err != nil {
		return nil, err
	}
	all := []engine{stock}
	for n, profile := range []config.Profile{config.ProfileCRS, config.ProfileMesh} {
		e, err := newOutrider(profile)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		e.name = Names()[n+1]
		all = append(all, e)
	}
	return all, nil
}

func closeAll(all []engine) {
	for _, e := range all {
		e.close()
	}
}

// newOutrider is the sidecar's inspection, asked as its HTTP engines ask it.
func newOutrider(profile config.Profile) (engine, error) {
	policy := config.InspectionPolicy{Spec: config.InspectionSpec{
		Profile: profile, Body: config.InspectionBody{InspectBytes: InspectBytes},
	}}
	policy.Metadata.Namespace, policy.Metadata.Name = "bench", "everything"
	i, err := inspect.New([]config.InspectionPolicy{policy}, inspect.Options{
		Workload: authz.Workload{Namespace: "bench", Name: "app"},
		// On a busy machine an engine is not to run out of the time to wait.
		Bounds: func() inspect.Bounds { return inspect.Bounds{Wait: time.Minute, Budget: time.Minute} },
	})
	if err != nil {
		return engine{}, fmt.Errorf("build the inspection of profile %s: %w", profile, err)
	}
	return engine{
		close: i.Close,
		prepare: func(r Request) judge {
			req := describe(r.Request)
			return func(ctx context.Context) (bool, error) {
				plan := i.Plan(req)
				body, complete := plan.First(r.Body)
				v := i.Inspect(ctx, req, plan, body, complete)
				switch v.Outcome {
				case flow.Clean:
					return false, nil
				case flow.Blocked:
					return true, nil
				default:
					return false, errors.New("it was not inspected: " + v.Outcome.String())
				}
			}
		},
	}, nil
}

// describe is a request as our HTTP engine describes it.
func describe(r hop.Request) *flow.Request {
	path, query, _ := strings.Cut(r.Target, "?")
	return &flow.Request{
		Conn: &flow.Connection{
			Remote:      netip.MustParseAddrPort("10.1.2.3:41000"),
			Destination: netip.MustParseAddrPort("10.1.2.4:8080"),
		},
		Method: r.Method, Target: r.Target, Path: path, Query: query,
		Host: hop.Host, Header: all(r), Proto: "HTTP/1.1",
	}
}

// all are the fields as they come over the wire.
func all(r hop.Request) flow.Fields {
	list := flow.Fields{{"Host", hop.Host}}
	for _, f := range r.Header {
		list = append(list, [2]string{f.Name, f.Value})
	}
	if len(r.Body) > 0 {
		list = append(list, [2]string{"Content-Length", strconv.Itoa(len(r.Body))})
	}
	return list
}
