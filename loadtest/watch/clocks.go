package watch

import (
	"fmt"
	"os"
	"time"
)

// Clocks are all CPU clocks at one moment. Use [Look].
type Clocks struct {
	At      time.Time
	groups  map[string]CPU
	own     CPU
	machine Busy
}

// Spent is what passed between two looks.
type Spent struct {
	Elapsed time.Duration
	// Groups are those watched, by name.
	Groups map[string]CPU
	// Own is what our own process spent: the generator's share.
	Own CPU
	// Machine is what the whole machine spent, everything included.
	Machine Busy
}

// Look reads the clocks, in the same order every time, so that what the reading
// itself takes cancels out.
func Look(groups []Group) (Clocks, error) {
	c := Clocks{At: time.Now(), groups: make(map[string]CPU, len(groups))}
	var err error
	for _, g := range groups {
		if c.groups[g.Name], err = g.CPU(); err != nil {
			return Clocks{}, fmt.Errorf("watch %q: %w", g.Name, err)
		}
	}
	if c.own, err = ReadCPU([]int{os.Getpid()}); err != nil {
		return Clocks{}, err
	}
	c.machine, err = ReadBusy()
	return c, err
}

// Since is what passed since an earlier look at the same groups.
func (c Clocks) Since(before Clocks) Spent {
	s := Spent{
		Elapsed: c.At.Sub(before.At), Groups: make(map[string]CPU, len(c.groups)),
		Own:     c.own.Sub(before.own),
		Machine: Busy{Work: c.machine.Work - before.machine.Work, Steal: c.machine.Steal - before.machine.Steal},
	}
	for name, cpu := range c.groups {
		s.Groups[name] = cpu.Sub(before.groups[name])
	}
	return s
}
