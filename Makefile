# Every target is what .ci/run calls.
MODULES := $(shell go list -m -f '{{.Dir}}')

.PHONY: all help fmt vet lint test test-race modules fuzz bench interop consumers figures
all: fmt vet lint test ## format, vet, lint and test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

fmt: ## format all Go files
	gofmt -l -w .

vet: ## go vet, every module
	go vet work

lint: ## staticcheck, every module
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 work

test: ## the tests of every module
	go test work

test-race: ## the same with the race detector
	go test -race work

# The workspace hides incomplete go.mod files; this does not use it.
modules: ## every go.mod is tidy and enough on its own
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go vet ./...); done

# A number of inputs, not a time: a run that ends by the clock fails now and then
# with "context deadline exceeded" although nothing was found.
FUZZTIME ?= 1000000x
FUZZ = go test -run '^$$' -fuzzminimizetime 10x -fuzztime $(FUZZTIME)
fuzz: ## every fuzz target; FUZZTIME=10000x for fewer inputs
	$(FUZZ) -fuzz FuzzSplit ./core/internal/jsontext
	$(FUZZ) -fuzz FuzzScript ./core/internal/jsontext
	$(FUZZ) -fuzz FuzzCursor ./core/internal/jsontext
	$(FUZZ) -fuzz FuzzPlaceholders ./core/internal/jsontext
	$(FUZZ) -fuzz 'FuzzPayload$$' ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzPayloadV3 ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzTwice ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzRev5 ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzRev4 ./core/internal/codec/socketio
	$(FUZZ) -fuzz 'FuzzRev1$$' ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzRev1Payload ./core/internal/codec/socketio
	$(FUZZ) -fuzz Fuzz06 ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzQuery ./core/internal/httpreq
	$(FUZZ) -fuzz FuzzUnwrap ./core/internal/dialect/eio
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/jsonp
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/htmlfile
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/multipart
	$(FUZZ) -fuzz FuzzHeader ./core/internal/transport/websocket

bench: ## the benchmarks of the codecs and the emit path
	go test -run '^$$' -bench . -benchmem ./core/...

interop: ## official clients and a browser; needs Node and chromium
	cd interop && npm ci && SIOKIT_INTEROP=1 go test -count=1 -v .

consumers: ## install every module as a user does, outside of the workspace
	go run ./release check

figures: ## repeat the figures of docs/performance.md; some minutes, Linux only
	bench/run
