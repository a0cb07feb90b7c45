// Package strict turns YAML text into Go values and reports everything that is
// wrong with it, at once, where a person finds it.
//
// A configuration mistake that is not reported is a policy nobody runs. So the
// decoder guesses nothing: an unknown or repeated key, a value of another type,
// a key without a value, an anchor, a tag and a number where text is expected
// are each an error with file, line, field path and remedy. JSON, being a
// subset of YAML, is read by the same code.
//
// Fields are found by their `yaml` tag ("-" skips, ",inline" flattens);
// untagged fields are not settable from a document. Supported are strings,
// booleans, integers, floats, [time.Duration], slices, maps with string keys,
// pointers, structs and every type with UnmarshalText. A string type with a
// method Values() []string accepts only those values.
//
// The text is untrusted: its size, its nesting, the number of its documents and
// the number of problems reported are bounded, and since aliases are refused
// the work is linear in its size.
package strict
