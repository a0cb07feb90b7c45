# Outrider. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Where binaries and reports go; both are ignored by git.
BIN  := bin
DIST := dist

# How long `make fuzz` spends on each target, and how many targets there must
# be at least: a discovery that finds nothing must not look like a success.
FUZZTIME ?= 20s
FUZZ_MIN ?= 90
# How many tests `make test` and `make race` must have run at least.
TESTS_MIN ?= 10000
# How many of those that start a mesh `make test-quic` must have run at least.
QUIC_TESTS_MIN ?= 1700
# How often a benchmark is repeated; benchstat wants ten.
BENCHCOUNT ?= 1
# Which packages `make bench` runs, and which benchmarks.
BENCHPKG ?= ./...
BENCH ?= .
# How long `make authz` compares the engine with its reference: at 50,000 to 100,000
# decisions a second.
AUTHZTIME ?= 30s
# Options for `make demo`, `make bench-hop` and `make bench-peers`, such as
# ARGS=--keep.
ARGS ?=

# Tools come from their own module, at the versions pinned in tools/go.mod, and
# are built by the go command on first use (some minutes, then cached).
TOOL := go tool -modfile=tools/go.mod

# What our dependencies leave out when told to; together a quarter of the
# binary. gRPC's tracing pages use html/template, which calls methods by name
# and so keeps the linker from removing any; no rule of ours validates schemas,
# which takes a JSON schema library; inspection never touches a disk, which may
# be read-only. The Dockerfile has the same list.
TAGS := grpcnotrace,coraza.disabled_operators.validateSchema,no_fs_access
# The sidecar has an HTTP/2 engine of its own; net/http's is half a MiB that only
# other programs ask for. What it uses net/http for (administration, probes, the
# issuer of identities) speaks HTTP/1.1 with and without this.
SIDECAR_TAGS := $(TAGS),nethttpomithttp2

BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -tags $(TAGS)
SIDECAR := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -tags $(SIDECAR_TAGS)

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## "; printf "Usage: make <target> [NAME=value]\n" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z0-9-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build every program into bin/, static and stripped
	@mkdir -p $(BIN)
	$(BUILD) -o $(BIN)/ ./cmd/outrider-injector ./cmd/outrider-load ./cmd/kubectl-outrider
	$(SIDECAR) -o $(BIN)/ ./cmd/outrider
	@ls -lh $(BIN) | awk 'NR > 1 { printf "  %s/%-20s %s\n", "$(BIN)", $$NF, $$5 }'

.PHONY: demo
demo: ## See it work: a mesh of three workloads on this machine (ARGS=--keep leaves it running)
	@mkdir -p $(BIN)
	@$(SIDECAR) -o $(BIN)/outrider ./cmd/outrider
	@$(BIN)/outrider demo $(ARGS)

##@ Test

.PHONY: test
test: ## Run all tests, end-to-end ones included
	@go test -json -tags $(TAGS) ./... | go run -C tools ./testreport -min $(TESTS_MIN)

.PHONY: race
race: ## Run all tests with the race detector, in random order
	@go test -json -race -shuffle=on -tags $(TAGS) ./... | go run -C tools ./testreport -min $(TESTS_MIN)

# Calls that must have come over QUIC at least, or the tests have taken TCP.
QUIC_CALLS_MIN ?= 18000

.PHONY: test-quic
test-quic: ## Run the end-to-end and conformance tests once more, every hop over QUIC
	@mkdir -p $(DIST); rm -f $(DIST)/quic-calls.txt
	@OUTRIDER_TEST_QUIC=$(CURDIR)/$(DIST)/quic-calls.txt go test -json -count=1 -tags $(TAGS) ./test/e2e ./test/conformance \
	  | go run -C tools ./testreport -min $(QUIC_TESTS_MIN)
	@awk '{ calls += $$1; meshes += $$1 > 0 } END { \
	  printf "test-quic: %d calls came over QUIC, to %d meshes\n", calls, meshes; \
	  if (calls < $(QUIC_CALLS_MIN)) { print "test-quic: want at least $(QUIC_CALLS_MIN) calls"; exit 1 } }' $(DIST)/quic-calls.txt

# Kubernetes is built on first use, in ten minutes and more, and kept outside of the
# tree: in $OUTRIDER_KUBE_CACHE, or the user's cache directory.
.PHONY: test-kube
test-kube: ## Test the control plane against a real API server, which is built first
	@OUTRIDER_TEST_KUBE=1 go test -count=1 -timeout 45m -v -tags $(TAGS) ./test/kube | grep -vE '^ *(=== RUN|--- PASS)'

.PHONY: e2e
e2e: ## Test the mesh with real pods on a node of Kubernetes that lives in namespaces, as root
	@OUTRIDER_TEST_NODE=1 go test -count=1 -timeout 60m -v -tags $(TAGS) ./test/kube/node | grep -vE '^ *(=== RUN|--- PASS)'

.PHONY: node
node: ## Start that node with our images on it and leave it to you until ^C, as root: for the commands of README.md
	@mkdir -p $(BIN)/node
	@$(SIDECAR) -o $(BIN)/node/ ./cmd/outrider
	@$(BUILD) -o $(BIN)/node/ ./cmd/outrider-injector ./examples/shop ./test/kube/pause ./test/kube/nodeinit ./test/kube/onenode
	@exec $(BIN)/node/onenode $(BIN)/node

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (20s)
	@targets=$$(go test -list '^Fuzz' ./... | \
	  awk '/^Fuzz/ { names = names " " $$1 } /^(ok|\?)/ { n = split(names, f, " "); for (i = 1; i <= n; i++) print f[i], $$2; names = "" }'); \
	found=$$(grep -c . <<<"$$targets" || true); \
	echo "fuzz: $$found targets, $(FUZZTIME) each"; \
	if (( found < $(FUZZ_MIN) )); then echo "fuzz: want at least $(FUZZ_MIN) targets"; exit 1; fi; \
	failed=(); \
	while read -r name pkg; do \
	  printf '\n── %s in %s\n' "$$name" "$$pkg"; \
	  go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg" || failed+=("$$name"); \
	done <<<"$$targets"; \
	if (( $${#failed[@]} )); then printf '\nfuzz: FAILED: %s\n' "$${failed[*]}"; exit 1; fi; \
	printf '\nfuzz: %s targets held\n' "$$found"

.PHONY: cover
cover: ## Report test coverage by package
	@mkdir -p $(DIST)
	@go test -coverprofile=$(DIST)/cover.out ./... | awk '/coverage:/ && $$1 != "coverage:" { for (i = 1; i < NF; i++) if ($$i == "coverage:") printf "  %6s  %s\n", $$(i+1), ($$1 == "ok" ? $$2 : $$1) } /^(FAIL|---)/ { print; bad = 1 } END { exit bad }'
	@go tool cover -func=$(DIST)/cover.out | awk '/^total:/ { print "   total  " $$NF } \
	  /\/outrider\/authz\/[^\/]*\.go:/ && $$NF != "100.0%" { n++; print "  below 100 %: " $$0 } \
	  END { if (n) { print "cover: authz must be at 100 %"; exit 1 } }'

# What decides who gets in has no statement that no test has run.
.PHONY: authz
authz: ## Require that tests cover all of authz; compare millions of decisions with its reference
	@mkdir -p $(DIST)
	@go test -coverprofile=$(DIST)/authz.out ./authz
	@go tool cover -func=$(DIST)/authz.out | awk '$$NF != "100.0%" { n++; print "  below 100 %: " $$0 } \
	  /^total:/ { seen = 1 } END { if (n || !seen) { print "authz: must be at 100 %"; exit 1 } }'
	@go test -run '^$$' -fuzz '^FuzzEngineAgreesWithTheReference$$' -fuzztime $(AUTHZTIME) ./authz

##@ Measure

.PHONY: bench
bench: ## Run the benchmarks (BENCH=regexp BENCHPKG=./authz/... BENCHCOUNT=10)
	@mkdir -p $(DIST)
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) $(BENCHPKG) | grep -v 'no test files' | tee $(DIST)/bench.txt

.PHONY: loadtest
loadtest: ## Measure what two sidecars add to latency, with a mesh of its own (ARGS="--rate 500")
	@mkdir -p $(BIN) $(DIST)
	@$(BUILD) -o $(BIN)/outrider-load ./cmd/outrider-load
	@$(BIN)/outrider-load self --json $(DIST)/loadtest.json --html $(DIST)/loadtest.html $(ARGS)
	@echo "The page with plots is $(DIST)/loadtest.html, the figures for programs are $(DIST)/loadtest.json."

.PHONY: bench-hop
bench-hop: build ## Compare the two-sidecar hop with nginx, HAProxy, Envoy and stunnel side by side
	@mkdir -p $(DIST)
	@go run ./test/peers --json $(DIST)/bench-hop.json $(ARGS)

.PHONY: bench-peers
bench-peers: build ## Compare hop, latency at a rate and gRPC with other programs, in 8 minutes (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(DIST)
	@go run ./test/peers --parts hop,rate,grpc --rounds 3 --json $(DIST)/bench-peers.json $(ARGS)

.PHONY: bench-loss
bench-loss: build ## Compare the hop over TCP and QUIC where packets are lost, as root, in 8 minutes (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(DIST)
	@go run ./test/lossy --json $(DIST)/bench-loss.json $(ARGS)

.PHONY: bench-push
bench-push: ## Measure how long policies take to reach 5,000 sidecars, and what it costs, in 2 minutes (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(BIN) $(DIST)
	@CGO_ENABLED=0 go build -tags $(TAGS) -o $(BIN)/pushbench ./test/pushbench
	@$(BIN)/pushbench --json $(DIST)/bench-push.json $(ARGS)

.PHONY: bench-waf
bench-waf: build ## Compare inspection: stock Coraza, ours, and nginx with ModSecurity, in 6 minutes (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(DIST)
	@go run -tags $(TAGS) ./test/peers --parts engines,inspection --rounds 3 --block 2s --open-rounds 0 --json $(DIST)/bench-waf.json $(ARGS)

.PHONY: bench-memory
bench-memory: build ## Measure what a sidecar holds while it inspects 200 bodies at a time, in a minute (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(DIST)
	@go run ./test/peers --parts memory --block 8s --json $(DIST)/bench-memory.json $(ARGS)

.PHONY: bench-webhook
bench-webhook: ## Measure what injection adds to creating pods at a real API server, in 3 minutes (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(DIST)
	@OUTRIDER_BENCH_WEBHOOK=1 go test -count=1 -timeout 45m -v -tags $(TAGS) -run '^TestAdmissions$$' ./test/kube -args --json $(DIST)/bench-webhook.json $(ARGS)

.PHONY: bench-authz
bench-authz: ## Compare an authorization decision with cedar-go and OPA (ARGS="--markdown docs/benchmarks.md")
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 go build -C test/authzbench -o $(CURDIR)/$(BIN)/authzbench .
	@$(BIN)/authzbench $(ARGS)

##@ Check

# In the order of what is quickest to fail.
CHECKS := fmt-check tidy vet lint authz vuln tools-test image-layout race

.PHONY: check
check: ## What CI runs: format, tidy, vet, lint, decisions, vulnerabilities, image, tests with -race
	@failed=(); \
	for c in $(CHECKS); do \
	  printf '\n━━ %s\n' "$$c"; \
	  started=$$SECONDS; \
	  if $(MAKE) $$c; then echo "━━ $$c: ok, $$((SECONDS - started)) s"; \
	  else echo "━━ $$c: FAILED, $$((SECONDS - started)) s"; failed+=("$$c"); fi; \
	done; \
	echo; \
	if (( $${#failed[@]} )); then echo "check: FAILED: $${failed[*]}"; exit 1; fi; \
	echo "check: all of it holds: $(CHECKS)"

.PHONY: fmt
fmt: ## Format the code (gofumpt, imports in three groups)
	@$(TOOL) golangci-lint fmt ./...

.PHONY: fmt-check
fmt-check: ## Tell which files are not in gofumpt's format
	@out=$$($(TOOL) gofumpt -l .); if [[ -n "$$out" ]]; then echo "$$out"; echo "not formatted; run make fmt"; exit 1; fi

.PHONY: tidy
tidy: ## Check that go.mod and go.sum are what go mod tidy would write
	@go mod tidy -diff

.PHONY: vet
vet: ## Run go vet
	@go vet -tags $(TAGS) ./...

.PHONY: lint
lint: ## Run golangci-lint
	@$(TOOL) golangci-lint run ./...

.PHONY: fix
fix: ## Let golangci-lint mend what it can by itself
	@$(TOOL) golangci-lint run --fix ./...

# govulncheck exits with 3 when it found something. Any other failure is either
# ours, and fails, or the database's absence, which is said and let pass.
.PHONY: vuln
vuln: ## Look for known vulnerabilities in what we call
	@status=0; out=$$($(TOOL) govulncheck ./... 2>&1) || status=$$?; \
	if (( status != 0 && status != 3 )) && grep -qE 'fetching vulnerabilities|vulnerability database' <<<"$$out"; then \
	  echo "$$out" | tail -n 3; \
	  echo "************************************************************"; \
	  echo "** SKIPPED: the vulnerability database can't be reached.  **"; \
	  echo "** NOTHING was checked. Run make vuln where it can.       **"; \
	  echo "************************************************************"; \
	  exit 0; \
	fi; \
	echo "$$out"; exit $$status

.PHONY: tools-test
tools-test: ## Test the small programs that this Makefile uses, and the manifests with Helm's and Prometheus' libraries
	@go -C tools vet ./testreport ./imagelayout
	@go -C tools test ./testreport ./imagelayout
	@go -C test/authzbench vet ./...
	@go -C test/authzbench test ./...
	@go -C test/chart vet ./...
	@go -C test/chart test ./...

.PHONY: image-layout
image-layout: ## Prove the Dockerfile's steps without a container engine: build, layout, user, size
	@go run -C tools ./imagelayout -context .. -rootfs ../$(DIST)/rootfs
	@go run -C tools ./imagelayout -context .. -rootfs ../$(DIST)/rootfs-load -target outrider-load -user 65532:65532 -max-bytes $$((28 << 20))
	@go run -C tools ./imagelayout -context .. -rootfs ../$(DIST)/rootfs-injector -target outrider-injector -user 65532:65532 -max-bytes $$((48 << 20))
	@go run -C tools ./imagelayout -context .. -rootfs ../$(DIST)/rootfs-shop -target outrider-shop -user 65532:65532 -max-bytes $$((12 << 20))

.PHONY: clean
clean: ## Remove what the other targets made
	@rm -rf $(BIN) $(DIST)
