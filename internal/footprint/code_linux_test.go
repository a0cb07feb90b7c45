package footprint

import (
	"bufio"
	"crypto/sha256"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// resident is how much of files is in memory of this process, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "RssFile:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rest, "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("NOT TESTED: this kernel doesn't say how much of files is in memory")
	return 0
}

func TestCodeThatIsReleasedComesBack(t *testing.T) {
	before := resident(t)
	sum := sha256.Sum256([]byte("code"))
	if err := ReleaseCode(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after >= before {
		t.Errorf("%d KiB of files are in memory, before %d", after, before)
	}
	if again := sha256.Sum256([]byte("code")); again != sum {
		t.Error("code doesn't do what it did")
	}
}

func TestOnlyWhatCannotBeWrittenIsReleased(t *testing.T) {
	const maps = `00400000-00410000 r-xp 00000000 08:01 11 /usr/bin/outrider
00410000-00420000 r--p 00010000 08:01 11 /usr/bin/outrider
00420000-00430000 rw-p 00020000 08:01 11 /usr/bin/outrider
00430000-00440000 r--s 00020000 08:01 11 /usr/bin/outrider
00440000-00450000 ---p 00020000 08:01 11 /usr/bin/outrider
00500000-00510000 r-xp 00000000 08:01 12 /usr/lib/other.so
7ff000000000-7ff000001000 r-xp 00000000 00:00 0 [vdso]
c000000000-c000400000 rw-p 00000000 00:00 0
`
	got, err := constants(strings.NewReader(maps), "/usr/bin/outrider")
	want := []area{{0x400000, 0x410000}, {0x410000, 0x420000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(area{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, broken := range []string{"x-00410000 r-xp 0 0 0 /a\n", "00400000 r-xp 0 0 0 /a\n", "00410000-00400000 r-xp 0 0 0 /a\n"} {
		if got, err := constants(strings.NewReader(broken), "/a"); err == nil {
			t.Errorf("%q gives %v", broken, got)
		}
	}
}
