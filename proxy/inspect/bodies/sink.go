package bodies

// A Sink takes the values that a reader finds.
type Sink struct {
	// Left is how many more are taken; Full tells that there were more.
	Left int
	Full bool
	// Add takes one and tells whether to go on. The name is only lent.
	Add func(name []byte, value string) bool

	over bool // Add has had enough
}

// put hands a value over and tells whether to go on.
func (s *Sink) put(name []byte, value string) bool {
	if s.Left--; s.Left < 0 {
		s.Full = true
		return false
	}
	s.over = s.over || !s.Add(name, value)
	return !s.over
}

// Ended tells that nothing more is taken.
func (s *Sink) Ended() bool { return s.Full || s.over }

// maxPlace bounds the name of a place, in bytes. Names grow with the depth of a
// document, and each value has one: what is longer is not said.
const maxPlace = 512

// maxDepth bounds how deep documents nest, as SecRequestBodyJsonDepthLimit in
// rules/base.conf does.
const maxDepth = 128
