package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// An image is the outcome of the final stage.
type image struct {
	rootfs          string
	user            string
	entrypoint, cmd []string
}

// A tree is one stage's file system. Only its work directory is real: what a
// command writes elsewhere stays on this machine and can't be copied from.
type tree struct {
	workdir string // as the Dockerfile calls it
	dir     string // where it is
	env     []string
}

// build carries out every stage down to the target.
func build(ctx context.Context, o options, work string, stages []stage) (*image, error) {
	built := map[string]*tree{}
	for _, s := range stages {
		if s.name == o.target {
			return assemble(o, s, built)
		}
		if s.base == "scratch" {
			continue // another program's image
		}
		t := &tree{workdir: "/", dir: filepath.Join(work, s.name)}
		if err := t.build(ctx, o, s); err != nil {
			return nil, err
		}
		built[s.name] = t
	}
	return nil, fmt.Errorf("no stage is called %q", o.target)
}

func (t *tree) build(ctx context.Context, o options, s stage) error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	for _, st := range s.steps {
		if err := t.step(ctx, o, st); err != nil {
			return fmt.Errorf("line %d: %s %s: %w", st.line, st.op, st.args, err)
		}
	}
	return nil
}

func (t *tree) step(ctx context.Context, o options, s step) error {
	switch s.op {
	case "WORKDIR":
		if t.workdir != "/" {
			return fmt.Errorf("a second WORKDIR")
		}
		t.workdir = path.Clean(s.args)
		return nil
	case "ENV":
		t.env = append(t.env, s.args)
		return nil
	case "ARG":
		return t.arg(s.args)
	case "COPY":
		return t.copyContext(o, s)
	case "RUN":
		fmt.Printf("  RUN %s\n", s.args)
		cmd := exec.CommandContext(ctx, "sh", "-ec", s.args)
		cmd.Dir = t.dir
		cmd.Env = append(environment(), t.env...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	return fmt.Errorf("instruction not known in a build stage")
}

// environment is this process's, without what would change what is built: a
// container wouldn't have it. GOFLAGS is set, because an empty one would be
// looked up in the go command's own file.
func environment() []string {
	kept := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"GOFLAGS", "GOOS", "GOARCH", "CGO_ENABLED", "GOEXPERIMENT", "GODEBUG"}, name)
	})
	return append(kept, "GOFLAGS=-buildvcs=auto")
}

// arg gives the arguments that every builder predefines their value; others
// need a default.
func (t *tree) arg(arg string) error {
	predefined := map[string]string{"TARGETOS": "linux", "TARGETARCH": runtime.GOARCH}
	name, value, ok := strings.Cut(arg, "=")
	if !ok {
		value, ok = predefined[name]
	}
	if !ok {
		return fmt.Errorf("no value")
	}
	t.env = append(t.env, name+"="+value)
	return nil
}

// copyContext copies named files, or with "." everything .dockerignore leaves.
func (t *tree) copyContext(o options, s step) error {
	words, opts := splitOptions(s.args)
	if len(opts) > 0 || len(words) < 2 {
		return fmt.Errorf("form not known in a build stage")
	}
	ignored, err := readIgnore(filepath.Join(o.context, ".dockerignore"))
	if err != nil {
		return err
	}
	to := filepath.Join(t.dir, words[len(words)-1])
	for _, from := range words[:len(words)-1] {
		if from != "." {
			if err := copyFile(filepath.Join(o.context, from), filepath.Join(to, path.Base(from)), 0o644); err != nil {
				return err
			}
			continue
		}
		if err := copyTree(o.context, to, ignored); err != nil {
			return err
		}
	}
	return nil
}

// readIgnore reads the patterns of a .dockerignore without exceptions.
func readIgnore(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var patterns []string
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "!"):
			return nil, fmt.Errorf("%s: exceptions such as %q are not known", name, line)
		default:
			patterns = append(patterns, line)
		}
	}
	return patterns, nil
}

func copyTree(from, to string, ignored []string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		for _, p := range ignored {
			// Patterns are anchored at the context, as with a builder.
			if ok, _ := filepath.Match(p, rel); ok {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		return copyFile(name, filepath.Join(to, rel), info.Mode().Perm())
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}

// assemble makes the target's files from what the earlier stages built.
func assemble(o options, s stage, built map[string]*tree) (*image, error) {
	if s.base != "scratch" {
		return nil, fmt.Errorf("the target must start from scratch, not from %q", s.base)
	}
	if err := os.RemoveAll(o.rootfs); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.rootfs, 0o755); err != nil {
		return nil, err
	}
	img := &image{rootfs: o.rootfs}
	for _, st := range s.steps {
		var err error
		switch st.op {
		case "COPY":
			err = img.copyFrom(st, built)
		case "USER":
			img.user = st.args
		case "EXPOSE":
		case "ENTRYPOINT":
			img.entrypoint, err = execForm(st)
		case "CMD":
			img.cmd, err = execForm(st)
		default:
			err = fmt.Errorf("instruction not known in the final stage")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %s %s: %w", st.line, st.op, st.args, err)
		}
	}
	return img, nil
}

func (img *image) copyFrom(s step, built map[string]*tree) error {
	words, opts := splitOptions(s.args)
	t := built[opts["from"]]
	if t == nil || len(words) != 2 {
		return fmt.Errorf("want COPY --from=stage file file")
	}
	mode, err := strconv.ParseUint(opts["chmod"], 8, 32)
	if err != nil {
		return fmt.Errorf("want --chmod with an octal mode: %w", err)
	}
	rel, ok := strings.CutPrefix(words[0], t.workdir+"/")
	if !ok {
		return fmt.Errorf("%q is outside of the stage's work directory %q", words[0], t.workdir)
	}
	return copyFile(filepath.Join(t.dir, rel), filepath.Join(img.rootfs, words[1]), fs.FileMode(mode))
}
