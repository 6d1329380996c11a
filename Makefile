# Builds, runs and checks Rollcall. `make help` lists the targets.

CARGO ?= cargo
# Tests need failpoints, which release builds do not have.
# Always the whole workspace, because Cargo unifies the features of a dependency over the selected packages
# and recompiles it for every other selection.
TEST_BUILD := --locked --workspace --features failpoints
BINARIES := rollcall command-service query-service projector

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run build dist test fmt fmt-check lint doc deny unit suite chaos replay fuzz mutants bench clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: ## Install missing packages: PostgreSQL, Redis, a JRE, Maven, libraries
	@scripts/install.sh

# `exec` replaces the shell, so that a signal to make reaches rollcall.
run: install build ## Run the whole service on http://127.0.0.1:8080 until Ctrl-C
	@exec target/release/rollcall run

# `rollcall --version` shows the commit.
build dist: VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)$(shell git log -1 --format=' (%h)' 2>/dev/null)
build: ## Build the release binaries into target/release
	@BUILD_VERSION='$(VERSION)' $(CARGO) build --release --locked $(addprefix -p ,$(BINARIES))

dist: ## Build the binaries for production into target/dist: optimized as one, takes some minutes
	@BUILD_VERSION='$(VERSION)' $(CARGO) build --profile dist --locked $(addprefix -p ,$(BINARIES))

test: ## Run all checks
	@scripts/install.sh test
	@$(MAKE) --no-print-directory fmt-check lint unit doc deny suite

fmt: ## Format the code
	@$(CARGO) fmt --all

fmt-check: ## Check the formatting
	@$(CARGO) fmt --all --check

lint: ## Run Clippy and check the Markdown; warnings are errors
	@$(CARGO) clippy $(TEST_BUILD) --all-targets -- -D warnings
	@$(CARGO) clippy --locked --workspace -- -D warnings
	@git ls-files '*.md' | python3 scripts/markdown.py

unit: ## Run unit and property tests
	@$(CARGO) test $(TEST_BUILD)

doc: ## Build the API documentation; warnings are errors
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

deny: ## Check the licences, origins and known vulnerabilities of dependencies
	@scripts/deny.sh
	@scripts/vendor-scalar.sh --check

# The ignored tests are long, and stop servers of their own. They run after the others, two at a time.
suite: ## Run integration tests on their own stack
	@$(CARGO) build $(TEST_BUILD) --bins --test suite
	@$(CARGO) test $(TEST_BUILD) --test suite
	@$(CARGO) test $(TEST_BUILD) --test suite -- --ignored --test-threads 2

# SEED repeats a run. The default is taken from the clock.
chaos: ## Kill, freeze and restart all parts under load, then check the result: [SEED=n] [FAULTS=100]
	@$(CARGO) build $(TEST_BUILD) --bins --test suite
	@target/debug/chaos $(if $(SEED),--seed $(SEED)) --faults $(or $(FAULTS),100)

replay: ## Rebuild, verify, promote and roll back a large log under load: [EVENTS=200000]
	@$(CARGO) build $(TEST_BUILD) --bins --test suite
	@REPLAY_EVENTS=$(or $(EVENTS),200000) $(CARGO) test $(TEST_BUILD) --test suite

# It needs `make run` in another terminal, or the variables ROLLCALL_URL and TOKEN of another service.
# 1700 examples are about 10,000 requests.
fuzz: ## Send many requests made from the OpenAPI document to a running service: [EXAMPLES=1700] [SEED=n]
	@tests/contracts/fuzz.sh $(or $(EXAMPLES),1700) $(or $(SEED),1)

mutants: ## Inject small faults to show that each chaos and erasure check can fail: [NAMES="stale lost"]
	@scripts/mutants.sh $(NAMES)

bench: install ## Measure against twins and another revision: [BASE=revision] [QUICK=1]
	@scripts/bench.sh

clean: ## Remove build results and the data of `make run`
	@scripts/clean.sh
