# make test needs Go only. integration, crash and bench run on real servers, which they
# write to and empty: those that make servers starts on this machine (scripts/kafka says
# what it needs), or others, named by TIDEMARK_BROKERS and TIDEMARK_REDIS.
#
# crash ends and starts the servers by TIDEMARK_KAFKA_SCRIPT and TIDEMARK_REDIS_SCRIPT, programs
# that take start, stop and kill, and starts three more brokers by TIDEMARK_CLUSTER_SCRIPT.
# For the servers of make servers these are set; without them crash leaves servers alone.

LINT_VERSION = v2.15.0

export KAFKA_PORT ?= 9092
export REDIS_PORT ?= 6379
export CLUSTER_PORT ?= 30092

ifndef TIDEMARK_BROKERS
TIDEMARK_BROKERS = 127.0.0.1:$(KAFKA_PORT)
TIDEMARK_KAFKA_SCRIPT ?= $(CURDIR)/scripts/kafka
TIDEMARK_CLUSTER_SCRIPT ?= $(CURDIR)/scripts/kafka-cluster
endif
ifndef TIDEMARK_REDIS
TIDEMARK_REDIS = 127.0.0.1:$(REDIS_PORT)
TIDEMARK_REDIS_SCRIPT ?= $(CURDIR)/scripts/redis
endif

REAL = TIDEMARK_BROKERS='$(TIDEMARK_BROKERS)' TIDEMARK_REDIS='$(TIDEMARK_REDIS)'
CRASH = $(REAL) TIDEMARK_KAFKA_SCRIPT='$(TIDEMARK_KAFKA_SCRIPT)' TIDEMARK_REDIS_SCRIPT='$(TIDEMARK_REDIS_SCRIPT)' \
	go run ./internal/proof/crash -flush

.PHONY: help build check test servers stop-servers integration crash crash-short bench lint

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

servers: ## starts a Kafka and a Redis on this machine, with their data in .servers
	scripts/kafka start
	scripts/redis start

stop-servers: ## ends them, and the three brokers of crash, and deletes their data
	scripts/kafka wipe
	scripts/kafka-cluster wipe
	scripts/redis wipe

integration: ## the scenarios, the acceptance, the sizes, the shop, the sink's suite and goka's view on real servers
	$(REAL) go test -race -count=1 -p 1 -run 'Integration|Redis' ./processor ./internal/kafka ./sinks/... ./internal/proof/orders ./docs

crash: ## kills everything at random for ten minutes and compares every key; again on three brokers; every damage to a state directory
	TIDEMARK_DAMAGE=all go test -count=1 -run 'TestDamageEverywhere|TestCombinations' ./internal/store ./processor
	$(CRASH)
	if [ -n '$(TIDEMARK_CLUSTER_SCRIPT)' ]; then $(CRASH) -cluster-script '$(TIDEMARK_CLUSTER_SCRIPT)'; fi

crash-short: ## the same for a minute, on one broker, without the damaged directories
	$(CRASH) -short

bench: ## CPU per record, latency, restart, restore: beside a floor and goka
	$(REAL) go run ./internal/proof/bench -flush

lint: ## the linter, which is built first: some minutes, once
lint: bin/golangci-lint-$(LINT_VERSION)
	bin/golangci-lint-$(LINT_VERSION) run ./...

bin/golangci-lint-$(LINT_VERSION):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@
