# Every target is what .ci/run calls.
MODULES := $(shell go list -m -f '{{.Dir}}')

.PHONY: all fmt vet lint test test-race modules fuzz bench interop
all: fmt vet lint test

fmt:
	gofmt -l -w .

vet:
	go vet work

lint:
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 work

test:
	go test work

test-race:
	go test -race work

# The workspace hides incomplete go.mod files; this does not use it.
modules:
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go vet ./...); done

# A number of inputs, not a time: a run that ends by the clock fails now and then
# with "context deadline exceeded" although nothing was found.
FUZZTIME ?= 1000000x
FUZZ = go test -run '^$$' -fuzzminimizetime 10x -fuzztime $(FUZZTIME)
fuzz:
	$(FUZZ) -fuzz FuzzSplit ./core/internal/jsontext
	$(FUZZ) -fuzz FuzzScript ./core/internal/jsontext
	$(FUZZ) -fuzz 'FuzzPayload$$' ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzPayloadV3 ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzTwice ./core/internal/codec/engineio
	$(FUZZ) -fuzz FuzzRev5 ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzRev4 ./core/internal/codec/socketio
	$(FUZZ) -fuzz 'FuzzRev1$$' ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzRev1Payload ./core/internal/codec/socketio
	$(FUZZ) -fuzz Fuzz06 ./core/internal/codec/socketio
	$(FUZZ) -fuzz FuzzUnwrap ./core/internal/dialect/eio
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/jsonp
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/htmlfile
	$(FUZZ) -fuzz FuzzAnswer ./core/internal/transport/multipart
	$(FUZZ) -fuzz FuzzHeader ./core/internal/transport/websocket

bench:
	go test -run '^$$' -bench . -benchmem ./core/...

interop:
	cd interop && npm ci && SIOKIT_INTEROP=1 go test -count=1 -v .
