package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Group is what is watched under one name: processes, or a control group.
type Group struct {
	Name string
	// PIDs are processes, all of them; empty for a control group.
	PIDs []int
	// Cgroup is the directory of a cgroup v2; empty for processes.
	Cgroup string
}

// cgroupRoot is where cgroup v2 is mounted (systemd, containerd, kubelet).
const cgroupRoot = "/sys/fs/cgroup"

// ParseGroup reads "NAME=pid:N[,N...]", of which the descendants are found now,
// or "NAME=cgroup:PATH", where PATH may leave /sys/fs/cgroup out.
func ParseGroup(text string) (Group, error) {
	g, err := readGroup(text)
	if err != nil {
		return Group{}, err
	}
	if g.Cgroup != "" {
		_, err = g.CPU()
	} else {
		err = g.addDescendants()
	}
	if err != nil {
		return Group{}, fmt.Errorf("watch %q: %w", text, err)
	}
	return g, nil
}

// CheckGroup tells whether ParseGroup understands a text. It looks at no process.
func CheckGroup(text string) error {
	_, err := readGroup(text)
	return err
}

func readGroup(text string) (Group, error) {
	name, what, named := strings.Cut(text, "=")
	kind, value, typed := strings.Cut(what, ":")
	if !named || !typed || name == "" || value == "" {
		return Group{}, fmt.Errorf("watch %q: write NAME=pid:NUMBER or NAME=cgroup:PATH", text)
	}
	g := Group{Name: name}
	switch kind {
	case "pid":
		for word := range strings.SplitSeq(value, ",") {
			pid, err := strconv.Atoi(word)
			if err != nil || pid < 1 {
				return Group{}, fmt.Errorf("watch %q: %q is no process id", text, word)
			}
			g.PIDs = append(g.PIDs, pid)
		}
		return g, nil
	case "cgroup":
		g.Cgroup = value
		if !strings.HasPrefix(value, cgroupRoot+"/") {
			g.Cgroup = filepath.Join(cgroupRoot, value)
		}
		return g, nil
	}
	return Group{}, fmt.Errorf("watch %q: %q is neither pid nor cgroup", text, kind)
}

// addDescendants adds those of each process; one that is named besides its own
// ancestor counts once.
func (g *Group) addDescendants() error {
	named := g.PIDs
	g.PIDs = nil
	for _, pid := range named {
		tree, err := Tree(pid)
		if err != nil {
			return err
		}
		g.PIDs = append(g.PIDs, tree...)
	}
	slices.Sort(g.PIDs)
	g.PIDs = slices.Compact(g.PIDs)
	return nil
}

// CPU is the processor time spent so far.
func (g Group) CPU() (CPU, error) {
	if g.Cgroup == "" {
		return ReadCPU(g.PIDs)
	}
	text, err := os.ReadFile(filepath.Join(g.Cgroup, "cpu.stat"))
	if err != nil {
		return CPU{}, fmt.Errorf("read the CPU time of a cgroup: %w", err)
	}
	return parseCPUStat(string(text))
}

// parseCPUStat reads the microseconds of a cgroup v2's cpu.stat.
func parseCPUStat(text string) (CPU, error) {
	var c CPU
	seen := 0
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		into := map[string]*time.Duration{"usage_usec": &c.Total, "user_usec": &c.User, "system_usec": &c.System}[key]
		if into == nil {
			continue
		}
		n, err := strconv.ParseInt(value, 10, 53)
		if err != nil || n < 0 {
			return CPU{}, fmt.Errorf("parse cgroup CPU line %q: bad number", line)
		}
		*into = time.Duration(n) * time.Microsecond
		seen++
	}
	if seen != 3 {
		return CPU{}, fmt.Errorf("parse cgroup CPU %q: want usage_usec, user_usec and system_usec", text)
	}
	return c, nil
}

// Memory is the memory in use now. Of a cgroup only RSS is known, and it holds
// the page cache too.
func (g Group) Memory() (Memory, error) {
	if g.Cgroup == "" {
		return ReadMemory(g.PIDs)
	}
	text, err := os.ReadFile(filepath.Join(g.Cgroup, "memory.current"))
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of a cgroup: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return Memory{}, fmt.Errorf("parse cgroup memory %q: bad number", text)
	}
	return Memory{RSS: n}, nil
}
