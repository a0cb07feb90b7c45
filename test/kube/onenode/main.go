// Command onenode starts a node of Kubernetes that lives in namespaces, with our images
// and those of the shop on it, and leaves it to whoever types commands. It ends when it
// is interrupted, and the node with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/outrider-mesh/outrider/test/kube/image"
	"github.com/outrider-mesh/outrider/test/kube/node"
	"github.com/outrider-mesh/outrider/test/kube/programs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onenode:", err)
		os.Exit(1)
	}
}

// run keeps a node until ctx is done. It is started in the repository, with the
// directory of our programs as the only argument.
func run(ctx context.Context) (err error) {
	if len(os.Args) != 2 {
		return errors.New("usage: onenode DIRECTORY-OF-PROGRAMS")
	}
	store, err := programs.Open(".", say)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "outrider-node-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bin := os.Args[1]
	n, err := node.Start(ctx, node.Options{Dir: dir, Store: store, Init: filepath.Join(bin, "nodeinit"), Say: say, Images: images(bin)})
	if err != nil {
		return err
	}
	defer n.Close()
	if err := resolve(ctx, n); err != nil {
		return err
	}
	say("The node is up, with the images of README.md on it. In another terminal:\n")
	say("  export KUBECONFIG=%s PATH=%s:$PATH\n", n.Kubeconfig(), filepath.Dir(n.Kubectl()))
	say("Interrupt this one to end the node and everything on it.")
	<-ctx.Done()
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// images are those that README.md has docker build, and what every pod begins with.
func images(bin string) []image.Image {
	return []image.Image{
		node.Image(bin, "outrider", "dev", "21337:21337"),
		node.Image(bin, "outrider-injector", "dev", "65532:65532"),
		{
			Name: node.Library() + "outrider-shop:dev", Files: map[string]string{filepath.Join(bin, "shop"): "/shop"},
			Entrypoint: []string{"/shop"}, User: "65532:65532",
		},
		node.Image(bin, "pause", "e2e", "65535:65535"),
	}
}

// resolve has names resolved in the cluster.
func resolve(ctx context.Context, n *node.Node) error {
	cmd := exec.CommandContext(ctx, n.Kubectl(), "--kubeconfig", n.Kubeconfig(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(node.DNS)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("names: %w: %s", err, out)
	}
	return nil
}
