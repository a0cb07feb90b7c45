// Package docs tests what the documents for newcomers say: their commands are
// run, and their documents are parsed.
package docs
