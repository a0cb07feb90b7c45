// Package crd makes the CustomResourceDefinitions of package v1alpha1 from its types:
// by reflection, so that a field that is added to a document is in its schema, and
// with a table of what types don't say, such as the range of a port. The definitions
// in manifests/crds are written by this package's test.
//
// A schema refuses what can be told from one value: unknown fields, types, words of a
// fixed set, ranges, and two fields of one object that contradict each other. What
// takes more, `outrider check` finds, and the control plane when it reads the document;
// testdata/mistakes.golden says which mistake is caught where.
package crd
