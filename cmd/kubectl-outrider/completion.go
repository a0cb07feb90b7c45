package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
)

const completionHelp = `Usage: kubectl outrider completion bash|zsh|fish

Writes a script by which a shell completes the commands and flags of kubectl-outrider.
kubectl itself, 1.26 or later, completes those of kubectl outrider by a program of
another name beside it, which may be a link:

  ln -s "$(command -v kubectl-outrider)" ~/bin/kubectl_complete-outrider

Examples:

  source <(kubectl outrider completion bash)
  kubectl outrider completion zsh > "${fpath[1]}/_kubectl-outrider"
  kubectl outrider completion fish > ~/.config/fish/completions/kubectl-outrider.fish

Exit status: 0 done; 2 the command line is wrong.

`

// The scripts ask the program itself, so that they never know less than it does. The
// last line of its answer is for kubectl.
const (
	bashScript = `_kubectl_outrider() {
  local candidates
  candidates=$(kubectl-outrider __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | sed '$d')
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _kubectl_outrider kubectl-outrider
`
	zshScript = `#compdef kubectl-outrider
_kubectl_outrider() {
  local -a candidates
  candidates=(${(f)"$(kubectl-outrider __complete "${(@)words[2,CURRENT]}" 2>/dev/null | sed '$d')"})
  compadd -a candidates || _files
}
compdef _kubectl_outrider kubectl-outrider
`
	fishScript = `function __kubectl_outrider
  set -l words (commandline -opc)
  kubectl-outrider __complete $words[2..] (commandline -ct) 2>/dev/null | sed '$d'
end
complete -c kubectl-outrider -a '(__kubectl_outrider)'
`
)

// completion is "kubectl outrider completion".
func completion(_ context.Context, args []string, env cli.Environment) error {
	fs := flags("completion", completionHelp)
	shells, err := program().Parse(fs, args, 1, env)
	if err != nil {
		return err
	}
	scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	if len(shells) == 0 || scripts[shells[0]] == "" {
		return wrong(fs, env, "name a shell: bash, zsh or fish")
	}
	fmt.Fprint(env.Stdout, scripts[shells[0]])
	return nil
}

// directive tells kubectl, in cobra's way, that files are completions too.
const directive = ":0"

// complete prints what the last word may become, a line each.
func complete(ctx context.Context, args []string, env cli.Environment) error {
	var last string
	if len(args) > 0 {
		last, args = args[len(args)-1], args[:len(args)-1]
	}
	for _, c := range candidates(ctx, args) {
		if strings.HasPrefix(c, last) {
			fmt.Fprintln(env.Stdout, c)
		}
	}
	fmt.Fprintln(env.Stdout, directive)
	return nil
}

// candidates are what may follow some words: commands, or the flags of one.
func candidates(ctx context.Context, before []string) []string {
	p := program()
	if len(before) > 0 && before[0] == "policy" {
		p, before = policycmd.New(name+" policy", usage, failed), before[1:]
	}
	if len(before) == 0 {
		return names(p)
	}
	if before[0] == "completion" && len(before) == 1 {
		return []string{"bash", "fish", "zsh"}
	}
	return flagsOf(ctx, p, before[0])
}

func names(p cli.Program) []string {
	var all []string
	for _, c := range p.Commands {
		all = append(all, c.Name)
	}
	slices.Sort(all)
	return all
}

// flagLine is how the flag package lists one.
var flagLine = regexp.MustCompile(`(?m)^  -(\S+)`)

// flagsOf are the flags of a command, as its help lists them, written as people write
// them.
func flagsOf(ctx context.Context, p cli.Program, command string) []string {
	var help bytes.Buffer
	env := cli.Environment{Getenv: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: &help, Stderr: &help}
	_ = p.Run(ctx, []string{command, "--help"}, env) // it has no error but that there is no such command
	_, list, _ := strings.Cut(help.String(), "Exit status")
	var all []string
	for _, found := range flagLine.FindAllStringSubmatch(list, -1) {
		dashes := "--"
		if len(found[1]) == 1 {
			dashes = "-"
		}
		all = append(all, dashes+found[1])
	}
	slices.Sort(all)
	return all
}
