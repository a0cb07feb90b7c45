package report

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// A browser is a headless Chromium whose every request goes to a trap on loopback,
// so that neither it nor a page reaches anybody.
type browser struct {
	path string
	trap *httptest.Server

	mu    sync.Mutex
	asked []string // for what, by pages
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	b := new(browser)
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			b.path = path
		}
	}
	if b.path == "" {
		t.Skip("NOT TESTED in a browser: there is no chromium; install it to see whether the page works")
	}
	b.trap = httptest.NewServer(b)
	t.Cleanup(b.trap.Close)
	return b
}

// ServeHTTP is the proxy. What the browser asks its maker for, for all the flags
// that forbid it, is not the page's doing.
func (b *browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.URL.Hostname()
	if !strings.HasSuffix(host, ".google.com") && !strings.HasSuffix(host, ".googleapis.com") && !strings.HasSuffix(host, ".gvt1.com") {
		b.mu.Lock()
		b.asked = append(b.asked, r.Method+" "+r.URL.String())
		b.mu.Unlock()
	}
	http.NotFound(w, r)
}

// requests are those of pages so far.
func (b *browser) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// run opens a file and returns what the browser printed and logged.
func (b *browser) run(t *testing.T, file string, flags ...string) (out, log string) {
	t.Helper()
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir=" + t.TempDir(), "--proxy-server=" + b.trap.URL, "--proxy-bypass-list=<-loopback>",
		"--enable-logging=stderr", "--virtual-time-budget=1000",
	}, flags...)
	cmd := exec.CommandContext(ctx, b.path, append(args, "file://"+file)...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

// console finds what a page logged: errors of its script, and what its policy has
// forbidden.
func console(log string) []string {
	return regexp.MustCompile(`(?m)^.*:CONSOLE.*$`).FindAllString(log, -1)
}

func save(t *testing.T, d *Document) string {
	t.Helper()
	page, _ := written(t, d)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A browser sees the page as it is meant, asks nobody for anything, and has
// nothing to complain about.
func TestBrowserShowsPages(t *testing.T) {
	b := newBrowser(t)
	for name, d := range map[string]*Document{"everything": everything(t), "hostile": hostile(t), "empty": document()} {
		dom, log := b.run(t, save(t, d), "--dump-dom")
		root, err := html.Parse(strings.NewReader(dom))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected(d), counted(root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if said := console(log); said != nil {
			t.Errorf("%s: the page logged %q", name, said)
		}
	}
	if asked := b.requests(); asked != nil {
		t.Errorf("pages asked for %q", asked)
	}
}

// The test above finds nothing on a page that has nothing; here it has.
func TestBrowserTellsOfWhatIsForbidden(t *testing.T) {
	b := newBrowser(t)
	page, _ := written(t, document())
	spoiled := strings.Replace(page, "</main>", `<img src="http://forbidden.invalid/x.png"><script>console.log("it ran")</script></main>`, 1)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(spoiled), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log := b.run(t, file, "--dump-dom")
	if said := console(log); len(said) < 2 {
		t.Errorf("of a forbidden image and script the browser only says %q", said)
	}
	if asked := b.requests(); asked != nil {
		t.Errorf("the policy did not prevent %q", asked)
	}
	open := strings.Replace(spoiled, `http-equiv="Content-Security-Policy"`, `name="none"`, 1)
	if err := os.WriteFile(file, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, file, "--dump-dom")
	if b.requests() == nil {
		t.Error("without the policy nothing was asked for either: the trap does not work")
	}
}

// The script reads values under a pointer and with the arrow keys. Its policy would
// forbid the script that plays the user here, so it is taken away.
func TestBrowserReadsValues(t *testing.T) {
	b := newBrowser(t)
	page, _ := written(t, unbounded(t))
	page = strings.Replace(page, `http-equiv="Content-Security-Policy"`, `name="none"`, 1)
	page = strings.Replace(page, "</body>", `<script>
		var charts = document.querySelectorAll("svg[data-readings]");
		var box = charts[0].getBoundingClientRect();
		charts[0].dispatchEvent(new PointerEvent("pointermove", {clientX: box.right, clientY: box.top}));
		for (var i = 0; i < 3; i++) charts[1].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
		charts[1].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft"}));
		charts[2].dispatchEvent(new KeyboardEvent("keydown", {key: "Tab"}));
	</script></body>`, 1)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	dom, log := b.run(t, file, "--dump-dom")
	if said := console(log); said != nil {
		t.Errorf("the page logged %q", said)
	}
	root, err := html.Parse(strings.NewReader(dom))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range elements(root) {
		if n.Data == "output" {
			got = append(got, strings.TrimSpace(strings.SplitN(text(n), ":", 2)[0]))
		}
	}
	if want := []string{"p99.9", "second 2", ""}; !slices.Equal(got, want) {
		t.Errorf("%q is read, want %q", got, want)
	}
}

// A picture is more than a blank page, at any width and in the dark.
func TestBrowserTakesPictures(t *testing.T) {
	b := newBrowser(t)
	file := save(t, everything(t))
	for name, flags := range map[string][]string{
		"desktop": {"--window-size=1280,900"},
		"phone":   {"--window-size=500,900"},
		"dark":    {"--window-size=1280,900", "--blink-settings=preferredColorScheme=0"},
	} {
		shot := filepath.Join(t.TempDir(), name+".png")
		_, log := b.run(t, file, append(flags, "--screenshot="+shot)...)
		if said := console(log); said != nil {
			t.Errorf("%s: the page logged %q", name, said)
		}
		f, err := os.Open(shot)
		if err != nil {
			t.Fatal(err)
		}
		image, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		colours := map[any]bool{}
		for x := 0; x < image.Bounds().Dx(); x += 3 {
			for y := 0; y < image.Bounds().Dy(); y += 3 {
				colours[image.At(x, y)] = true
			}
		}
		if len(colours) < 20 {
			t.Errorf("%s: the picture has only %d colours", name, len(colours))
		}
	}
}
