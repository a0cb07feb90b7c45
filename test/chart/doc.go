// Package chart tests what is applied to clusters with the libraries of the programs
// that apply it: the Helm chart, the kustomizations, and the queries of dashboard and
// alerts. It is a module of its own, for these libraries are ten times the product's.
package chart
