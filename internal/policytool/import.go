package policytool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/internal/importer/istio"
	"github.com/outrider-mesh/outrider/internal/importer/linkerd"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// Origin is whose policies are imported.
type Origin string

// The origins.
const (
	Istio   Origin = "istio"
	Linkerd Origin = "linkerd"
)

// maxImportFiles bounds what is read of directories; with the bound on a file, it
// bounds the memory.
const maxImportFiles = 1000

// An ImportRequest names policies of another mesh.
type ImportRequest struct {
	// Paths are files and directories; "-" is standard input.
	Paths   []string
	Stdin   io.Reader
	From    Origin
	Options importer.Options
	// Partial writes policies although something was not translated.
	Partial bool
}

// errNotTranslated tells that nothing was written.
var errNotTranslated = errors.New("not everything was translated, so nothing is written; --partial writes what was")

// Import writes the policies of another mesh as documents of ours, and reports
// what was not translated and what there is to know.
func Import(ctx context.Context, r ImportRequest, out, reports io.Writer) error {
	docs, problems, err := r.read(ctx)
	if err != nil {
		return err
	}
	result := r.translate(docs)
	result.Broken = result.Broken || len(problems) > 0
	result.Problems = append(problems, result.Problems...)
	p := &printer{w: reports}
	for _, problem := range result.Problems {
		severity := "error: "
		if problem.Severity == strict.Warning {
			severity = "" // it says so itself
		}
		p.printf("%s%s\n", severity, printable(problem.String()))
	}
	switch {
	case p.err != nil:
		return p.err
	case result.Broken:
		return errors.New("documents are not understood, so nothing is written")
	case !result.Exact() && !r.Partial:
		return errNotTranslated
	}
	return r.write(&result, out)
}

func (r *ImportRequest) translate(docs []*strict.Document) importer.Result {
	if r.From == Linkerd {
		return linkerd.Translate(docs, r.Options)
	}
	return istio.Translate(docs, r.Options)
}

// write writes the policies. What is not exact says so in the document, as it may
// go where nobody has seen the reports.
func (r *ImportRequest) write(result *importer.Result, out io.Writer) error {
	p := &printer{w: out}
	p.comment("Translated from policies of %s.", r.From)
	if !result.Exact() {
		p.comment("NOT ALL OF IT: these policies do not mean what those did. What is missing:")
		for _, problem := range result.Problems {
			if problem.Severity == strict.Error {
				p.comment("  %s", problem.String())
			}
		}
	}
	for _, policy := range result.Policies {
		p.printf("---\n")
		writePolicy(p, policy, func(int) []string { return nil })
	}
	return p.err
}

// read reads all documents, in the order of the names of their files.
func (r *ImportRequest) read(ctx context.Context) (docs []*strict.Document, problems []strict.Problem, err error) {
	files, err := r.files()
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		more, bad, err := r.file(file)
		if err != nil {
			return nil, nil, err
		}
		docs, problems = append(docs, more...), append(problems, bad...)
	}
	return docs, problems, nil
}

func (r *ImportRequest) file(name string) ([]*strict.Document, []strict.Problem, error) {
	if name != "-" {
		return readDocuments(name)
	}
	data, err := io.ReadAll(io.LimitReader(r.Stdin, strict.MaxBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read standard input: %w", err)
	}
	docs, problems := strict.Split("standard input", data)
	return docs, problems, nil
}

// files are the paths, and in place of directories the YAML files below them. A
// directory without any is a mistake.
func (r *ImportRequest) files() (all []string, err error) {
	for _, path := range r.Paths {
		found := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if found, err = below(path); err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("there is no file *.yaml or *.yml below %q", path)
			}
		}
		all = append(all, found...)
		if len(all) > maxImportFiles {
			return nil, fmt.Errorf("there are more than %d files", maxImportFiles)
		}
	}
	return all, nil
}

func below(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			files = append(files, path)
		}
		if len(files) > maxImportFiles {
			return filepath.SkipAll
		}
		return err
	})
	return files, err
}
