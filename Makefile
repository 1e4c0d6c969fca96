# make test needs Go only. The others run on real servers: a Kafka at
# TIDEMARK_BROKERS and a Redis at TIDEMARK_REDIS, which they write to and empty.
# crash runs on three brokers, too, if TIDEMARK_CLUSTER_SCRIPT names a program that
# takes start (and prints the addresses), kill N, freeze N and thaw N.

LINT_VERSION = v2.15.0

.PHONY: help build check test integration crash crash-short bench lint

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

build: ## bin/hello
	go build -o bin/hello ./cmd/hello

check: ## what every change has to pass: vet, lint and test
	go vet ./...
	$(MAKE) lint
	$(MAKE) test

test: ## everything that needs no server, under the race detector; most of its time is waiting
	go test -race -parallel 8 ./...

integration: ## the scenarios, the acceptance, the sizes, the shop, the sink's suite and goka's view on real servers
	go test -race -count=1 -p 1 -run 'Integration|Redis' ./processor ./internal/kafka ./sinks ./internal/proof/orders ./docs

crash: ## kills everything at random for ten minutes and compares every key; again on three brokers; every damage to a state directory
	TIDEMARK_DAMAGE=all go test -count=1 -run 'TestDamageEverywhere|TestCombinations' ./internal/store ./processor
	go run ./internal/proof/crash -flush
	if [ -n "$$TIDEMARK_CLUSTER_SCRIPT" ]; then go run ./internal/proof/crash -flush -cluster-script "$$TIDEMARK_CLUSTER_SCRIPT"; fi

crash-short: ## the same for a minute, without the damaged directories
	go run ./internal/proof/crash -short -flush

bench: ## CPU per record, latency, restart, restore: beside a floor and goka
	go run ./internal/proof/bench -flush

lint: ## the linter, which is built first: some minutes, once
lint: bin/golangci-lint-$(LINT_VERSION)
	bin/golangci-lint-$(LINT_VERSION) run ./...

bin/golangci-lint-$(LINT_VERSION):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@
