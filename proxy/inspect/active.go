package inspect

// Active tells whether any request may be inspected: then the port must carry
// HTTP and nothing else.
func (i *Inspector) Active() bool { return i != nil && len(i.engines) > 0 }

// Active is [Inspector.Active] of the Inspector in force; a Holder without one
// refuses everything, so it counts as active.
func (h *Holder) Active() bool {
	i := h.current.Load()
	return i == nil || i.Active()
}
