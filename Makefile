# Targets that need only Go and make: build test demo run package bench fuzz crash.
SHELL    := /bin/bash
GO       ?= go
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PACKAGE  := build/app
export CGO_ENABLED ?= 0
# Thousands of small worlds are made and forgotten: collecting them less often is a third
# of the time for a few hundred megabytes.
export GOGC ?= 400
# Properties begin at this seed, so that what fails is what was changed; RAPID_SEED=0
# plays other cases each time.
export RAPID_SEED ?= 20261126

.PHONY: help pictures build test race crash million e2e soak lint bench fuzz demo run package infra-check kql-check clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/cmkguard ## bin/cmkguard

bin/cmkguard: FORCE
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ .
FORCE:

test: ## every test that needs only Go and make
	$(GO) test -timeout 30m -shuffle=on ./...

# Not e2e, which drives a binary of its own, built without the detector (internal/app is
# the same program with it), and not the long stories of one goroutine.
race: ## the tests under the race detector, without the stories that one goroutine plays (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 60m -shuffle=on -skip 'Killed|WhateverHappens|AnyOrder|Storm' $$($(GO) list ./internal/... ./handlers/... | grep -v '/internal/e2e$$')

crash: ## kill the process at every call of a rotation, every eighth where the cluster follows by itself, every twelfth of a repair (EVERY=1: at each): minutes
	@set -o pipefail; CMKGUARD_CRASH=all CMKGUARD_EVERY=$(EVERY) $(GO) test -timeout 60m -run 'Killed' -v -parallel 4 ./internal/guard ./internal/e2e | grep -v '^ *\(=== \|--- PASS: Test[A-Za-z]*/\)'

model: ## 10,000 random worlds, people and attackers against the invariants (RAPID_SEED=0: others each time): minutes
	@set -o pipefail; $(GO) test ./internal/guard -timeout 60m -run WhateverHappens -v -rapid.checks=2500 | grep -v '^=== '

million: ## a million mixed events through the doors: none lost, bounded memory; about a minute
	CMKGUARD_MIXED=1000000 $(GO) test -v -run AMillionMixedEvents ./internal/app

AZURITE := build/azurite/node_modules/azurite/dist/src/azurite.js
soak: $(AZURITE) ## 10,000 signals through two workers on the storage emulator, which is stopped in between
	CMKGUARD_SIGNALS=10000 CMKGUARD_AZURITE=$(CURDIR)/$(AZURITE) $(GO) test -v -timeout 3h -run Survive ./internal/e2e

$(AZURITE):
	npm install --prefix build/azurite --no-audit --no-fund --no-save azurite@3.35.0

e2e: $(AZURITE) ## the store and the main story on the storage emulator (installs it from npm)
	CMKGUARD_AZURITE=$(CURDIR)/$(AZURITE) $(GO) test -timeout 60m -v -run 'Conformance|Azure|Survive|Lost' ./internal/store/azstore ./internal/e2e

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
lint: ## gofmt, go vet, and golangci-lint with the linters of .golangci.yml
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)" || { echo 'gofmt -w the files above'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(GOLANGCI) run ./...

bench: ## benchmarks; read them as ratios of one run
	$(GO) test -run '^$$' -bench . -benchmem ./...

FUZZTIME ?= 60s
fuzz: ## fuzz every parser, each for FUZZTIME (60s)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$f); do \
	    echo "== $$name in $$(dirname $$f)"; $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); \
	  done; done

demo: bin/cmkguard ## the whole story on this machine: no cloud, no account
	$(GO) run ./internal/demo -binary bin/cmkguard

run: bin/cmkguard ## the demo's world, kept up until Ctrl-C
	$(GO) run ./internal/demo -binary bin/cmkguard -keep

pictures: bin/cmkguard ## look at every card, mail and page with headless Chromium (UPDATE=1 writes the golden images)
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation fonts-dejavu-core; fi
	@if command -v chromium >/dev/null; then CMKGUARD_BINARY=$(CURDIR)/bin/cmkguard CMKGUARD_PICTURES=$(if $(UPDATE),update,1) $(GO) test -count=1 ./internal/pictures; \
	else echo 'pictures: skipped, there is no chromium, and no apt-get as root to install it'; fi

package: ## build/app: what the Functions host wants at the app root
	rm -rf $(PACKAGE) && mkdir -p $(PACKAGE)
	GOOS=linux GOARCH=amd64 CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(PACKAGE)/cmkguard .
	cp host.json $(PACKAGE)/
	for f in handlers/*/function.json; do d=$(PACKAGE)/$$(basename $$(dirname $$f)); mkdir -p $$d && cp $$f $$d/; done

KUSTO := build/kusto/node_modules/@kusto/language-service-next
$(KUSTO)/package.json:
	npm install --prefix build/kusto --no-audit --no-fund --no-save @kusto/language-service-next@12.4.1

infra-check: ## parse every KQL query (needs npm) and compile infra with bicep, each where it is installed
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory kql-check; else echo 'infra-check: KQL skipped, npm is not on the PATH'; fi
	@if command -v bicep >/dev/null; then set -o pipefail; \
	  { bicep build --stdout infra/main.bicep 2>&1 >/dev/null && bicep lint infra/main.bicep 2>&1; } | tee /dev/stderr | { ! grep -qE ' (Warning|Error) '; }; \
	else echo 'infra-check: skipped, bicep is not on the PATH'; fi

kql-check: $(KUSTO)/package.json
	@$(GO) run ./internal/azure/graph/print | node infra/kql/check.cjs $(KUSTO) infra

clean: ## remove what was built
	rm -rf bin build
