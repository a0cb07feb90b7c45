package watch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const restOfStat = " S 7 1 1 0 -1 4194560 100 0 0 0 250 75 9 9 20 0 4 0 1000 1 1"

func TestParseStat(t *testing.T) {
	want := Stat{PID: 42, Parent: 7, User: 2500 * time.Millisecond, System: 750 * time.Millisecond}
	cases := []struct {
		name, text string
		ok         bool
	}{
		{"a plain command name", "42 (nginx)" + restOfStat, true},
		{"a name with a space", "42 (tmux: server)" + restOfStat, true},
		{"a name that closes its parenthesis early", "42 (a) S 1 (b)" + restOfStat, true},
		{"a trailing newline", "42 (nginx)" + restOfStat + "\n", true},
		{"no name at all", "42 nginx" + restOfStat, false},
		{"parentheses the wrong way round", "42 )nginx(" + restOfStat, false},
		{"too few fields", "42 (nginx) S 7 1 1", false},
		{"a pid that is no number", "x (nginx)" + restOfStat, false},
		{"a time that is no number", strings.Replace("42 (nginx)"+restOfStat, "250", "2.5", 1), false},
		{"a negative time", strings.Replace("42 (nginx)"+restOfStat, "250", "-250", 1), false},
		{"nothing", "", false},
	}
	if len(cases) < 11 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseStat([]byte(c.text))
			if (err == nil) != c.ok {
				t.Fatalf("error is %v, want ok=%t", err, c.ok)
			}
			if c.ok {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func FuzzParseStatFindsItsFieldsBehindAnyName(f *testing.F) {
	f.Add("nginx", 1, 2, int64(3), int64(4))
	f.Add(") S 1 (", 10, 20, int64(30), int64(40))
	f.Fuzz(func(t *testing.T, name string, pid, parent int, user, system int64) {
		const most = 1 << 40
		pid, parent, user, system = pid&most-1, parent&most-1, user&(most-1), system&(most-1)
		if pid < 0 || parent < 0 {
			t.Skip()
		}
		text := fmt.Sprintf("%d (%s) R %d 0 0 0 0 0 0 0 0 0 %d %d 0 0", pid, name, parent, user, system)
		got, err := ParseStat([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := Stat{PID: pid, Parent: parent, User: time.Duration(user) * tick, System: time.Duration(system) * tick}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	})
}

func TestParseKiB(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t  9999 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 12 MB\nRssFile:\t\nRssShmem: -4 kB\n"
	cases := []struct {
		name, key string
		want      int64 // -1: an error
	}{
		{"the line asked for", "VmRSS", 1234 << 10},
		{"a longer key is not a match for its prefix", "VmR", -1},
		{"another unit is refused", "RssAnon", -1},
		{"an empty value is refused", "RssFile", -1},
		{"a negative value is refused", "RssShmem", -1},
		{"a missing line is an error", "Pss", -1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseKiB([]byte(status), c.key)
			if err != nil {
				got = -1
			}
			if got != c.want {
				t.Errorf("got %d (%v), want %d", got, err, c.want)
			}
		})
	}
}

func TestParseBusyAddsWorkAndLeavesIdleOut(t *testing.T) {
	got, err := parseBusy([]byte("cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Busy{Work: 31 * tick, Steal: 32 * tick}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu 1 2 3 4 5 x 7 8", "cpu 1 -2 3 4 5 6 7 8"} {
		if _, err := parseBusy([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestDescendantsFollowsEveryGeneration(t *testing.T) {
	all := []Stat{{PID: 1}, {PID: 5, Parent: 1}, {PID: 9, Parent: 5}, {PID: 7, Parent: 9}, {PID: 6, Parent: 1}}
	if diff := cmp.Diff([]int{5, 7, 9}, descendants(5, all)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{42}, descendants(42, all)); diff != "" {
		t.Error(diff)
	}
}

func TestReadingOurOwnProcess(t *testing.T) {
	self := os.Getpid()
	tree, err := Tree(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(tree), fmt.Sprint(self)) {
		t.Errorf("tree of our parent %v does not hold %d", tree, self)
	}
	before, err := ReadCPU([]int{self})
	if err != nil {
		t.Fatal(err)
	}
	// Work until the clock has moved; it must, as we are the ones working.
	after := before
	for after.Total == before.Total {
		if after, err = ReadCPU([]int{self}); err != nil {
			t.Fatal(err)
		}
	}
	if d := after.Sub(before); d.Total < 0 || d.User < 0 || d.System < 0 {
		t.Errorf("CPU time ran backwards: %+v", d)
	}
	m, err := ReadMemory([]int{self, self})
	if err != nil {
		t.Fatal(err)
	}
	if m.RSS <= 0 || m.Anon <= 0 || m.Anon > m.RSS {
		t.Errorf("implausible memory %+v", m)
	}
	if _, err := ReadBusy(); err != nil {
		t.Error(err)
	}
	if m := DescribeMachine(); m.CPUs < 1 || m.Kernel == "" {
		t.Errorf("machine is not described: %+v", m)
	}
}

func TestAProcessThatIsGoneIsAnError(t *testing.T) {
	// Above the kernel's limit for process ids (2^22).
	const nobody = 1<<22 + 1
	if _, err := Tree(nobody); err == nil {
		t.Error("Tree: no error")
	}
	if _, err := ReadCPU([]int{nobody}); err == nil {
		t.Error("ReadCPU: no error")
	}
	if _, err := ReadMemory([]int{nobody}); err == nil {
		t.Error("ReadMemory: no error")
	}
}
