package gate

// pollBytes is how many bytes of arguments are proved before [Request].Stop is asked
// again: what takes a millisecond at most.
const pollBytes = 4 << 10

// A poll asks now and then whether to end.
type poll struct {
	stop   func() bool
	proved int // bytes since it was asked
}

// ended tells whether to end before so many more bytes.
func (p *poll) ended(bytes int) bool {
	if p.stop == nil {
		return false
	}
	if p.proved += bytes; p.proved < pollBytes {
		return false
	}
	p.proved = 0
	return p.stop()
}
