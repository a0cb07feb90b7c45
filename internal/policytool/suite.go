package policytool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/trial"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// KindPolicyTest is the kind of a document of cases.
const KindPolicyTest = "PolicyTest"

// A PolicyTest is a document of cases.
type PolicyTest struct {
	APIVersion string          `yaml:"apiVersion"`
	Kind       string          `yaml:"kind"`
	Metadata   config.Metadata `yaml:"metadata"`
	Spec       PolicyTestSpec  `yaml:"spec"`
}

// PolicyTestSpec is what a PolicyTest says.
type PolicyTestSpec struct {
	// Policies is the directory of documents, relative to the file; the flag
	// --policies comes first.
	Policies string `yaml:"policies,omitempty"`
	// Workload is who is called.
	Workload TestWorkload `yaml:"workload"`
	// MTLS is the mode of its listener; empty: what the documents say.
	MTLS config.MTLSMode `yaml:"mtls,omitempty"`
	// Cases are tried one by one; at least one.
	Cases []trial.Case `yaml:"cases"`
}

// A TestWorkload is who is called.
type TestWorkload struct {
	Namespace string            `yaml:"namespace,omitempty"`
	Name      string            `yaml:"name"`
	Labels    map[string]string `yaml:"labels,omitempty"`
	// TrustDomain is needed as soon as a policy speaks of namespaces or service
	// accounts, unless MeshConfig has it.
	TrustDomain string `yaml:"trustDomain,omitempty"`
}

// Format is how a report is written.
type Format string

// The formats.
const (
	FormatText  Format = "text"
	FormatTAP   Format = "tap"
	FormatJUnit Format = "junit"
)

// A TestRequest names the files of cases.
type TestRequest struct {
	Files []string
	// Policies is the directory of documents; empty: what each file says.
	Policies string
	Format   Format
}

// Test runs cases and writes the report. It tells whether all came out as
// expected; an error is for files that can't be read or make no sense.
func Test(ctx context.Context, r TestRequest, out io.Writer) (passed bool, err error) {
	var reports []*trial.Report
	var errs []error
	for _, file := range r.Files {
		more, err := r.file(ctx, file)
		reports = append(reports, more...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return false, err // half a suite proves nothing
	}
	passed = true
	for _, report := range reports {
		passed = passed && report.Failures() == 0
	}
	return passed, r.write(reports, out)
}

func (r *TestRequest) write(reports []*trial.Report, out io.Writer) error {
	switch r.Format {
	case FormatTAP:
		return trial.TAP(out, reports)
	case FormatJUnit:
		return trial.JUnit(out, reports)
	case FormatText:
	}
	for _, report := range reports {
		if err := report.Text(out); err != nil {
			return err
		}
	}
	return nil
}

// file runs the documents of one file.
func (r *TestRequest) file(ctx context.Context, path string) (reports []*trial.Report, err error) {
	docs, problems, err := readDocuments(path)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 && len(problems) == 0 {
		problems = append(problems, strict.Problem{File: path, Message: "the file holds no document", Remedy: "write one of kind " + KindPolicyTest})
	}
	var errs []error
	for _, doc := range docs {
		report, err := r.document(ctx, doc)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		reports = append(reports, report)
	}
	return reports, errors.Join(append([]error{invalid(problems)}, errs...)...)
}

// document runs the cases of one document.
func (r *TestRequest) document(ctx context.Context, doc *strict.Document) (*trial.Report, error) {
	var test PolicyTest
	if doc.APIVersion != config.APIVersion || doc.Kind != KindPolicyTest {
		return nil, invalid([]strict.Problem{doc.Problem("kind",
			fmt.Sprintf("%q of %q is not a document of cases", doc.Kind, doc.APIVersion), "write kind "+KindPolicyTest+" and apiVersion "+config.APIVersion)})
	}
	problems := doc.Decode(&test)
	spec := &test.Spec
	dir := r.Policies
	if dir == "" && spec.Policies != "" {
		dir = spec.Policies
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(filepath.Dir(doc.File), dir)
		}
	}
	missing := func(field, remedy string) {
		problems = append(problems, doc.Problem(field, "is missing", remedy))
	}
	if dir == "" {
		missing("spec.policies", "name the directory of policies here or with --policies")
	}
	if spec.Workload.Name == "" {
		missing("spec.workload.name", "say who is called")
	}
	if len(spec.Cases) == 0 {
		missing("spec.cases", "write at least one")
	}
	if len(problems) > 0 {
		// What is wrong with the cases is told as well, but not what a mistake
		// above has made of them.
		_, more := cases(doc, spec, trial.Subject{})
		for _, p := range more {
			if !slices.ContainsFunc(problems, func(other strict.Problem) bool { return other.Field == p.Field }) {
				problems = append(problems, p)
			}
		}
		return nil, invalid(problems)
	}
	return r.run(ctx, doc, spec, dir)
}

// cases tries the cases of a document.
func cases(doc *strict.Document, spec *PolicyTestSpec, s trial.Subject) (results []trial.Result, problems []strict.Problem) {
	for i := range spec.Cases {
		field := strict.Index("spec.cases", i)
		result, bad := s.Run(&spec.Cases[i], doc.File+":"+strconv.Itoa(doc.At(field)))
		for _, b := range bad {
			message := b.Reason
			if b.Value != "" {
				message = strconv.Quote(b.Value) + " " + b.Reason
			}
			problems = append(problems, doc.Problem(strict.Key(field, b.Field), message, b.Remedy))
		}
		results = append(results, result)
	}
	return results, problems
}

func (r *TestRequest) run(ctx context.Context, doc *strict.Document, spec *PolicyTestSpec, dir string) (*trial.Report, error) {
	documents, err := Load(ctx, dir)
	if err != nil {
		return nil, err
	}
	w := authz.Workload(spec.Workload)
	s, err := subject(documents, w, spec.MTLS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doc.File, err)
	}
	report := &trial.Report{Name: doc.Name}
	if report.Name == "" {
		report.Name = doc.File
	}
	var problems []strict.Problem
	report.Results, problems = cases(doc, spec, s)
	report.Idle = idle(documents.Access, s.Set, report.Decided())
	return report, invalid(problems)
}

// idle are the enforced rules that decided nothing.
func idle(policies []authz.Policy, set *authz.Set, decided map[string]bool) (all []string) {
	enforced := map[string]bool{}
	for _, name := range set.Policies() {
		enforced[name] = true
	}
	for i := range policies {
		name := advice.NameOf(&policies[i])
		for rule := range policies[i].Spec.Rules {
			if id := name + " rule " + strconv.Itoa(rule); enforced[name] && !decided[id] {
				all = append(all, id)
			}
		}
	}
	return all
}
