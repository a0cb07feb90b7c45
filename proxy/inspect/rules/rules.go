// Package rules holds the rule text that inspection adds to the Core Rule Set:
// our base configuration and the mesh profile. It is data in SecLang; what is
// computed from a policy is written by package inspect.
//
// Rule ids 7100000 to 7199999 are ours: 71000xx the base, 71005xx the
// profiles, 7110000 and up the exclusions of a policy, 7120000 and up those that
// look at the time.
package rules

import _ "embed"

//go:embed base.conf
var base string

//go:embed mesh.conf
var mesh string

//go:embed places.conf
var places string

//go:embed last.conf
var last string

// Base returns the configuration that every engine starts from.
func Base() string { return base }

// Mesh returns what the mesh profile sets before the Core Rule Set is loaded.
func Mesh() string { return mesh }

// Places returns what the mesh profile changes of the Core Rule Set's own rules: what
// they look at. It comes behind them and before those of a policy.
func Places() string { return places }

// Last returns what every engine has after the rules that detect and before the one
// that compares the score.
func Last() string { return last }
