package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// magic begins a file. The number is the version of the format; one that is not known
// is not read.
const magic = "outrider-cache/1 "

// head is what stands between the checksum and the contents, in one line.
type head struct {
	Workload     string    `json:"workload"`
	ControlPlane string    `json:"controlPlane"`
	Saved        time.Time `json:"saved"`
	Resources    []entry   `json:"resources"`
}

// entry is what is said of one content; they follow each other without a gap.
type entry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Bytes   int    `json:"bytes"`
}

// encode writes the magic, the checksum of all that follows, the head, and the
// contents.
func (c Content) encode() ([]byte, error) {
	h := head{Workload: c.Owner.Workload.String(), ControlPlane: c.Owner.ControlPlane.String(), Saved: c.Saved.UTC().Truncate(time.Second)}
	for _, r := range c.Resources {
		h.Resources = append(h.Resources, entry{r.Name, r.Version, len(r.Body)})
	}
	rest, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	rest = append(rest, '\n')
	for _, r := range c.Resources {
		rest = append(rest, r.Body...)
	}
	text := append([]byte(magic+checksum(rest)+"\n"), rest...)
	if len(text) > maxBytes || len(c.Resources) > maxResources {
		return nil, fmt.Errorf("%d resources of %d bytes are more than is kept", len(c.Resources), len(text))
	}
	return text, nil
}

func checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// decode undoes encode.
func decode(text []byte) (Content, error) {
	first, rest, ok := bytes.Cut(text, []byte("\n"))
	sum, known := bytes.CutPrefix(first, []byte(magic))
	switch {
	case !ok || !known:
		return Content{}, errors.New("it is no cache of a version known here")
	case string(sum) != checksum(rest):
		return Content{}, errors.New("it is damaged: its checksum is another")
	}
	line, bodies, _ := bytes.Cut(rest, []byte("\n"))
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var h head
	if err := d.Decode(&h); err != nil {
		return Content{}, fmt.Errorf("its head: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Content{}, errors.New("its head: something follows it")
	}
	return h.content(bodies)
}

// content puts the contents where they belong.
func (h head) content(bodies []byte) (c Content, err error) {
	if c.Owner.Workload, err = spiffeid.FromString(h.Workload); err != nil {
		return Content{}, fmt.Errorf("its workload: %w", err)
	}
	if c.Owner.ControlPlane, err = spiffeid.FromString(h.ControlPlane); err != nil {
		return Content{}, fmt.Errorf("its control plane: %w", err)
	}
	if len(h.Resources) > maxResources {
		return Content{}, fmt.Errorf("it has %d resources, more than %d", len(h.Resources), maxResources)
	}
	c.Saved = h.Saved
	seen := make(map[string]bool, len(h.Resources))
	for _, e := range h.Resources {
		switch {
		case e.Name == "" || e.Version == "" || len(e.Name) > push.MaxNameBytes || len(e.Version) > push.MaxNameBytes || seen[e.Name]:
			return Content{}, fmt.Errorf("resource %.80q has no name and version of its own", e.Name)
		case e.Bytes < 0 || e.Bytes > len(bodies):
			return Content{}, fmt.Errorf("resource %.80q has %d bytes of %d", e.Name, e.Bytes, len(bodies))
		}
		seen[e.Name] = true
		c.Resources = append(c.Resources, Resource{Name: e.Name, Version: e.Version, Body: bodies[:e.Bytes:e.Bytes]})
		bodies = bodies[e.Bytes:]
	}
	if len(bodies) > 0 {
		return Content{}, fmt.Errorf("%d bytes belong to nothing", len(bodies))
	}
	return c, nil
}
