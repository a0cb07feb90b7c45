package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Dockerfile that holds everything the checks ask for.
const good = `# comment
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY . .
ENV CGO_ENABLED=0
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -ldflags="-s -w" \
  -o out/ ./cmd/...
FROM scratch AS outrider
COPY --from=build --chmod=0555 /src/out/outrider /outrider
USER 21337:21337
EXPOSE 15006
ENTRYPOINT ["/outrider"]
CMD ["run"]
`

func TestRun(t *testing.T) {
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("the Dockerfile of this test has no %q", from)
		}
		return strings.ReplaceAll(good, from, to)
	}
	cases := []struct {
		name, dockerfile string
		err              string // "" when it must pass
	}{
		{"a good Dockerfile passes", good, ""},
		{"root is refused", change("USER 21337:21337", "USER 0"), `user "0", want "21337:21337"`},
		{"a missing user is refused", change("USER 21337:21337\n", ""), `user ""`},
		{"symbols are refused", change(`-ldflags="-s -w"`, ""), "not stripped"},
		{"a writable file is refused", change("0555", "0755"), "/outrider is writable"},
		{"a second file is refused", change("USER", "COPY --from=build --chmod=0555 /src/out/outrider /other\nUSER"), "2 files, want one"},
		{"a text file is refused", change("/src/out/outrider ", "/src/go.mod "), "not an executable"},
		{"an entry point that is not there is refused", change(`["/outrider"]`, `["/bin/sh"]`), "is not in the image"},
		{"a shell-form entry point is refused", change(`["/outrider"]`, "/outrider"), "must be a JSON array"},
		{"a failing command is refused", change("./cmd/...", "./nothing"), "line 8: RUN"},
		{"a base without a version is refused", change("golang:1.26.8", "golang"), "has no version"},
		{"a base called latest is refused", change("golang:1.26.8", "golang:latest"), "has no version"},
		{"a base with a registry is refused", change("golang:1.26.8", "example.com/golang:1.26.8"), "names a registry"},
		{"an unknown instruction is refused", change("EXPOSE 15006", "VOLUME /data"), "instruction not known in the final stage"},
		{"an unknown instruction in the build is refused", change("ENV CGO_ENABLED=0", "SHELL x"), "instruction not known in a build stage"},
		{"a stage that is not there is refused", change("--from=build", "--from=other"), "want COPY --from=stage"},
		{"a target that is not there is refused", change("AS outrider", "AS sidecar"), `no stage is called "outrider"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "Dockerfile", c.dockerfile)
			write(t, dir, ".dockerignore", "bin\n*.out\n")
			write(t, dir, "go.mod", "module example\n\ngo 1.26\n")
			write(t, dir, "cmd/outrider/main.go", "package main\n\nfunc main() { println(1) }\n")
			write(t, dir, "bin/main.go", "this would not build\n")
			o := options{context: dir, rootfs: filepath.Join(dir, "rootfs"), target: "outrider", user: "21337:21337", maxBytes: 22 << 20}
			err := run(t.Context(), o)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestSizeBudget(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "Dockerfile", good)
	write(t, dir, ".dockerignore", "")
	write(t, dir, "go.mod", "module example\n\ngo 1.26\n")
	write(t, dir, "cmd/outrider/main.go", "package main\n\nfunc main() { println(1) }\n")
	o := options{context: dir, rootfs: filepath.Join(dir, "rootfs"), target: "outrider", user: "21337:21337", maxBytes: 1000}
	if err := run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "over the budget of 1000") {
		t.Errorf("error %v, want one about the budget", err)
	}
}

func TestDynamicExecutableIsRefused(t *testing.T) {
	for _, name := range []string{"/bin/sh", "/bin/ls"} {
		if err := static(name); err == nil {
			t.Errorf("%s passed as a static, stripped executable", name)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
