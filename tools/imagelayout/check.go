package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// check verifies everything promised of an image and reports all of what does
// not hold.
func (img *image) check(o options, out io.Writer) error {
	var problems []error
	var total int64
	files := map[string]bool{}
	err := filepath.WalkDir(img.rootfs, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		inside := "/" + strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(name, img.rootfs)), "/")
		files[inside] = true
		total += info.Size()
		fmt.Fprintf(out, "  %s %6.2f MiB  %s\n", info.Mode(), float64(info.Size())/(1<<20), inside)
		if info.Mode().Perm()&0o222 != 0 {
			problems = append(problems, fmt.Errorf("%s is writable", inside))
		}
		if err := static(name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", inside, err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  user %s, entry point %q, default arguments %q\n", img.user, img.entrypoint, img.cmd)
	fmt.Fprintf(out, "  %.2f of %.2f MiB\n", float64(total)/(1<<20), float64(o.maxBytes)/(1<<20))

	if len(files) != 1 {
		problems = append(problems, fmt.Errorf("%d files, want one", len(files)))
	}
	if len(img.entrypoint) == 0 || !files[img.entrypoint[0]] {
		problems = append(problems, fmt.Errorf("entry point %q is not in the image", img.entrypoint))
	}
	if img.user != o.user {
		problems = append(problems, fmt.Errorf("user %q, want %q", img.user, o.user))
	}
	if total > o.maxBytes {
		problems = append(problems, fmt.Errorf("%d bytes, over the budget of %d", total, o.maxBytes))
	}
	return errors.Join(problems...)
}

// static tells whether an executable runs without a loader and libraries.
func static(name string) error {
	f, err := elf.Open(name)
	if err != nil {
		return fmt.Errorf("not an executable: %w", err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("dynamically linked: it has a %s segment", p.Type)
		}
	}
	if f.Section(".debug_info") != nil || f.Section(".symtab") != nil {
		return errors.New("not stripped")
	}
	return nil
}
