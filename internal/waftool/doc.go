// Package waftool is what "outrider waf" does: it tries requests offline, proposes
// exclusions for what a log says was wrongly detected, and measures what groups of
// rules cost. It changes nothing.
package waftool
