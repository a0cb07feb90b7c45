package footprint

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseCode gives back the pages of the program's own code and constants, of which
// those that are in use come back from the page cache at once and the others, which
// only starting needed, do not. A sidecar's resident memory is mostly these: the
// kernel maps sixteen pages around each that is touched (fault_around_bytes).
//
// It is never needed; an error says that memory stays as it is.
func ReleaseCode() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	defer maps.Close()
	areas, err := constants(maps, program)
	if err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	for _, a := range areas {
		// Of a private mapping of a file that nobody can write to, the pages are those
		// of the file whenever they are read again (madvise(2), MADV_DONTNEED).
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, a.begin, a.end-a.begin, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("release code: madvise: %w", errno)
		}
	}
	return nil
}

// area is a range of addresses.
type area struct{ begin, end uintptr }

// mostMaps bounds what is read of the list of mappings, in bytes.
const mostMaps = 1 << 20

// constants finds the mappings of a file that can't be written to, in the form of
// proc_pid_maps(5).
func constants(maps io.Reader, file string) ([]area, error) {
	var areas []area
	lines := bufio.NewScanner(io.LimitReader(maps, mostMaps))
	for lines.Scan() {
		// address perms offset dev inode pathname
		f := strings.SplitN(lines.Text(), " ", 6)
		if len(f) < 6 || strings.TrimSpace(f[5]) != file || !strings.HasPrefix(f[1], "r-") || !strings.HasSuffix(f[1], "p") {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		begin, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("the list of mappings: %w", err)
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("the list of mappings: %w", err)
		}
		if end <= begin {
			return nil, fmt.Errorf("the list of mappings has the range %s", f[0])
		}
		areas = append(areas, area{uintptr(begin), uintptr(end)})
	}
	return areas, lines.Err()
}
