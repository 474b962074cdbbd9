SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

BIN := .tmp/bin
export PATH := $(abspath $(BIN)):$(PATH)

# Tools that would drag a hundred modules into go.mod are pinned here and built beside it. The generators take their
# versions from go.mod (its tool lines), so that the code they write and the runtime it links to cannot drift apart.
BUF_VERSION := v1.75.0
GOLANGCI_LINT_VERSION := v2.15.0

# What the protos must not break; empty skips nothing: there is then nothing to compare with.
BUF_BREAKING_AGAINST ?= .git\#branch=main

# What is generated and committed.
GENERATED := gen server/internal/gateway/openapi/generated

# Modules beside the main one: what only tests need, and too heavy for everybody's go.sum.
NESTED := server/internal/store/etcd/etcdtest server/servertest/peers

VERSION ?= dev
# Inputs a target, not time: at the end of its time Go's fuzzing may fail having found nothing (golang/go#75804).
FUZZ_COUNT ?= 100000
BENCH_TIME ?= 20x

.PHONY: help
help: ## Describe the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

.PHONY: run
run: ## Serve over a cluster inside the process: 3 brokers, 3 partitions, replication 3
	go run ./cmd/exportgate dev

.PHONY: build
build: ## Build the program into .tmp/exportgate
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o .tmp/exportgate ./cmd/exportgate

.PHONY: test
test: ## Run every test with the race detector
	go test -race -shuffle=on ./...
	@for module in $(NESTED); do (cd $$module && set -x && go test -race -shuffle=on ./...); done

.PHONY: test-rules
test-rules: ## Check the alert rules and play them, with promtool
	promtool check rules deploy/prometheus/exportgate.rules.yml
	promtool test rules deploy/prometheus/exportgate.rules.test.yml

.PHONY: lint
lint: $(BIN)/golangci-lint $(BIN)/buf ## Lint the Go code and the protos
	golangci-lint run
	@for module in $(NESTED); do (cd $$module && set -x && golangci-lint run --config $(abspath .golangci.yml)); done
	buf lint
	buf format --diff --exit-code

.PHONY: breaking
breaking: $(BIN)/buf ## Fail if the protos break clients of the main branch
	buf breaking --against '$(BUF_BREAKING_AGAINST)'

.PHONY: generate
generate: $(BIN)/buf ## Generate code and the description of the API anew
	buf generate

.PHONY: check
check: ## Fail if what is generated, or go.mod, is not what their sources say
	@before=$$(cat $$(git ls-files $(GENERATED)) | sha256sum); $(MAKE) generate; \
	test "$$before" = "$$(cat $$(git ls-files --cached --others --exclude-standard $(GENERATED)) | sha256sum)" || \
		{ echo 'what is generated is stale: run make generate and commit what changed' >&2; git status --short $(GENERATED) >&2; exit 1; }
	go mod tidy -diff
	@for module in $(NESTED); do (cd $$module && set -x && go mod tidy -diff); done

.PHONY: fuzz
fuzz: ## Fuzz every decoder of foreign bytes with FUZZ_COUNT inputs each
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_COUNT)x -fuzzminimizetime 10x $$package; \
		done; \
	done

.PHONY: bench
bench: ## Measure against the limits, side by side; docs/performance.md explains the numbers
	go test -run '^$$' -bench . -benchtime $(BENCH_TIME) ./server

.PHONY: soak
soak: ## Run the long checks whole: random scenarios, faults, fuzzing
	go test -count=1 -run TestAnythingThatEndsQuietlySettles ./server/internal/reconcile -rapid.checks=100000 -timeout 30m
	go test -count=1 -run TestProperties ./server/internal/hold -rapid.checks=20000 -timeout 10m
	go test -count=1 -run TestModel ./server/internal/reconcile -rapid.checks=10000 -timeout 30m
	go test -race -count=1 ./server/servertest -timeout 30m -soak
	cd server/internal/store/etcd/etcdtest && go test -race -count=1 -run TestTermsNeverOverlap . -timeout 30m -faults 5m
	cd server/internal/store/etcd/etcdtest && go test -race -count=1 ./proxies -timeout 30m -soak
	$(MAKE) fuzz

$(BIN)/buf: Makefile
	GOBIN=$(abspath $(BIN)) go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)

$(BIN)/golangci-lint: Makefile
	GOBIN=$(abspath $(BIN)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
