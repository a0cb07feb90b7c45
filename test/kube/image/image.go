// Package image writes container images of static programs, without a container
// engine and without a registry: one layer, in the layout that containerd imports.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// An Image is what is in one.
type Image struct {
	// Name is the whole reference, host and tag included.
	Name string
	// Files are copied: from where to where.
	Files map[string]string
	// Entrypoint is the program and its first arguments, User who runs it.
	Entrypoint []string
	User       string
}

// Write makes the archive.
func (i Image) Write(to string) error {
	layer, err := i.layer()
	if err != nil {
		return fmt.Errorf("image %s: %w", i.Name, err)
	}
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(layer); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	return i.archive(f, layer, zipped.Bytes())
}

// layer is the file system: the files, the directories that they are in, and /tmp.
func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{"/": true}
	if err := directory(w, made, "/tmp", 0o1777); err != nil {
		return nil, err
	}
	for from, to := range i.Files {
		if err := directory(w, made, path.Dir(to), 0o755); err != nil {
			return nil, err
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := put(w, strings.TrimPrefix(to, "/"), 0o555, content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func directory(w *tar.Writer, made map[string]bool, name string, mode int64) error {
	if made[name] {
		return nil
	}
	made[name] = true
	if err := directory(w, made, path.Dir(name), 0o755); err != nil {
		return err
	}
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: mode})
}

func put(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// What the layout is made of (OCI image specification 1.0).
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
	// nameKey is where containerd looks for what an image is called.
	nameKey = "io.containerd.image.name"
)

func (i Image) archive(to io.Writer, layer, zipped []byte) error {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.Entrypoint, "User": i.User},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor(configType, config), "layers": []any{descriptor(layerType, zipped)},
	})
	if err != nil {
		return err
	}
	entry := descriptor(manifestType, manifest)
	entry["platform"] = map[string]string{"architecture": runtime.GOARCH, "os": "linux"}
	entry["annotations"] = map[string]string{nameKey: i.Name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{entry}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index},
		{blob(manifest), manifest},
		{blob(config), config},
		{blob(zipped), zipped},
	} {
		if err := put(w, f.name, 0o644, f.content); err != nil {
			return err
		}
	}
	return w.Close()
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func blob(b []byte) string { return "blobs/" + strings.Replace(digest(b), ":", "/", 1) }

func descriptor(kind string, b []byte) map[string]any {
	return map[string]any{"mediaType": kind, "digest": digest(b), "size": len(b)}
}
