# The steps of .ci/run one by one, with a few that take longer.
MODULES := $(shell go list -m -f '{{.Dir}}')

.PHONY: all help fmt vet lint vuln test test-race attacks modules fuzz bench bench-report bench-regress interop soak faults consumers figures
all: fmt vet lint test ## format, vet, lint and test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

fmt: ## format all Go files
	gofmt -l -w .

vet: ## go vet, every module
	go vet work

# docs/linters.md says what they find, and the answers. To build golangci-lint takes minutes, the first time.
lint: ## staticcheck and golangci-lint, every module
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 work
	@rc=0; for m in $(MODULES); do echo "== golangci-lint: $$m"; (cd $$m && go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...) || rc=1; done; exit $$rc

# Each module on its own, with the versions that it requires itself. The database is asked for over
# the network.
VULNDB ?= https://vuln.go.dev
vuln: ## known vulnerabilities that the code can reach; VULNDB=file:///somewhere for a copy of the database
	@rc=0; for m in $(MODULES); do echo "== $$m"; (cd $$m && GOWORK=off go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 -db $(VULNDB) ./...) || rc=1; done; exit $$rc

test: ## the tests of every module
	go test work

test-race: ## the same with the race detector
	go test -race work

attacks: ## every row of docs/attacks.md on every host, one at a time
	SIOKIT_ATTACKS=all go test -count=1 -timeout 30m -v -run '^TestAttacks$$' ./internal/attack $(addprefix ./adapters/,chi echo echov5 fiber fiberv3 gin)

# The workspace hides incomplete go.mod files; this does not use it.
modules: ## every go.mod is tidy and enough on its own
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go vet ./...); done

# A number of inputs, not a time: a run that ends by the clock fails now and then
# with "context deadline exceeded" although nothing was found.
FUZZTIME ?= 1000000x
FUZZ = go test -run '^$$' -fuzzminimizetime 10x -fuzztime $(FUZZTIME)
fuzz: ## every fuzz target; FUZZTIME=10000x for fewer inputs than a million each
	@grep -roE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' core | sort | { rc=0; while IFS=: read -r file f; do \
		echo "== $${f#func } in $${file%/*}"; \
		$(FUZZ) -fuzz "^$${f#func }\$$" ./$${file%/*} </dev/null || rc=1; \
	done; exit $$rc; }

bench: ## the benchmarks of the codecs and the emit path
	go test -run '^$$' -bench . -benchmem ./core/...

# QUICK=1 is a few seconds for a round. Fewer than five rounds, or less than everything, write no page.
ROUNDS ?= 5
QUICK ?=
BENCHFLAGS ?=
bench-report: ## measure all hosts and other servers, and write docs/performance.md; an hour, Linux only
	go run ./bench/report -rounds $(ROUNDS) $(if $(QUICK),-quick) $(BENCHFLAGS)

BASE ?= main
bench-regress: ## the work tree against BASE=main, fails beyond 5 %; ten minutes, Linux only
	go run ./bench/regress -base $(BASE) $(BENCHFLAGS)

interop: ## official clients, a browser, clusters with Node; needs Node, chromium and Redis
	cd interop && npm ci && npm ci --prefix cluster && SIOKIT_INTEROP=1 go test -count=1 -v ./...

# A server and a cluster of three, at the same time.
SOAK ?= 30m
SEED ?= 0
SOAKFLAGS ?=
soak: ## clients on a bad network, every message counted; SOAK=2m for less than half an hour, SEED, SOAKFLAGS
	@dir=$$(mktemp -d) && trap 'test -z "$$cluster" || kill $$cluster 2>/dev/null; rm -rf '$$dir EXIT && trap 'exit 130' INT TERM && cluster= && \
		go build -o $$dir/soak ./interop/soak && \
		{ $$dir/soak -duration $(SOAK) -seed $(SEED) -nodes 3 $(SOAKFLAGS) >$$dir/cluster 2>&1 & cluster=$$!; rc=0; \
		$$dir/soak -duration $(SOAK) -seed $(SEED) $(SOAKFLAGS) || rc=1; \
		wait $$cluster || rc=1; cluster=; cat $$dir/cluster; exit $$rc; }

# Where Redis, nginx and haproxy are missing, the tests that need them are skipped, and it says so.
faults: ## the table of faults in its long form, with the tests of other packages that it names
	SIOKIT_FAULTS=long go test -count=1 -v -timeout 60m -run '^TestFaults$$' ./internal/faults

consumers: ## install every module as a user does, outside of the workspace
	go run ./release check

figures: bench-report ## repeat the figures of docs/performance.md; two hours, Linux only
	bench/run
	bench/load/run
	bench/cluster/run
