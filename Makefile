# Sluice: the words of this file are the words of the README and of CI.
export GOTOOLCHAIN := go1.27.4
GO      ?= go
FUZZFOR ?= 2s
MUTATIONS ?= 200000

.PHONY: build profile demo test race e2e examples fuzz lint verify bench bench-scale bench-layers soak vuln tools clean

build: ## the binary: ./sluice
	$(GO) build -trimpath -o sluice ./cmd/proxy

demo: ## two releases, live traffic, flips; nothing lost
	$(GO) run ./cmd/proxy demo

test: tools verify lint race e2e fuzz examples ## everything; about ten minutes

race: ## unit and behaviour tests under the race detector, and the allocation tests without it
	$(GO) test -race $$($(GO) list ./... | grep -v /e2e)
	$(GO) test -run 'Alloc' ./message ./http1 ./upstream ./proxy ./front

e2e: ## the real binary under strict clients
	$(GO) test -count=1 -timeout 10m ./e2e
	SLUICE_E2E_RACE=1 $(GO) test -race -short -count=1 -timeout 5m -run 'Flips|Rolling|Killed' ./e2e

examples: build ## each example, as its README says
	./examples/run-all.sh

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

verify: ## formatting, tidy modules, floors and sizes
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) mod tidy -diff
	$(GO) test -count=1 .

vuln: ## known vulnerabilities in what is called; needs vuln.go.dev, or VULNDB=file:///a/copy
	$(GO) tool govulncheck $(if $(VULNDB),-db $(VULNDB)) ./...

fuzz: ## each target for FUZZFOR
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZFOR) $$pkg; \
	  done; done

bench: ## the goals, beside nginx, HAProxy and all proxies in Go that are found; BENCH="--strace --json out.json" adds to it
	$(GO) run ./bench --work goals --peers all $(BENCH)

bench-scale: ## how the cost grows with backends, hosts and connections
	$(GO) run ./bench --work scale $(BENCH)

bench-layers: ## each layer alone, for benchstat
	$(GO) test -bench . -run '^$$' -count 10 ./message ./http1 ./upstream ./proxy ./front

profile: ## what the compiler optimises by: cmd/proxy/default.pgo, anew
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(GO) build -pgo=off -tags profile -o $$dir/sluice ./cmd/proxy; \
	SLUICE_PROFILE=$$dir $(GO) run ./bench --sluice $$dir/sluice --peers sluice --rounds 1 --seconds 8 --retries 0 --work small,smalllog,upload64k,close; \
	$(GO) tool pprof -symbolize=none -proto $$(find $$dir -name "*.pprof" -size +8k) > cmd/proxy/default.pgo

soak: ## the e2e suite for longer, with MUTATIONS of the attack table from a new seed
	SLUICE_SOAK=10m SLUICE_MUTATIONS=$(MUTATIONS) $(GO) test -count=1 -timeout 60m ./e2e

tools: ## what the tests need besides Go
	./.ci/tools.sh

clean:
	rm -f sluice
