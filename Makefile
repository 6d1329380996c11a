# The ways to build, start and check Rollcall. `make help` lists them.

CARGO ?= cargo
# Tests can make the programs die at named points; what is released can't.
# Always the whole workspace: Cargo unifies the features of a dependency over the selected packages
# and recompiles it for every other selection.
TEST_BUILD := --locked --workspace --features failpoints
BINARIES := rollcall command-service query-service projector

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run build test fmt fmt-check lint doc deny unit suite chaos mutants bench clean

help: ## List what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: ## Install what is missing here: PostgreSQL, Redis, a JRE, Maven, libraries
	@scripts/install.sh

# Not a child of a shell but in its place: so a signal to make reaches it.
run: install build ## Run the whole service on http://127.0.0.1:8080 until Ctrl-C
	@exec target/release/rollcall run

build: ## Build the release binaries into target/release
	@$(CARGO) build --release --locked $(addprefix -p ,$(BINARIES))

test: ## Run every check there is
	@scripts/install.sh test
	@$(MAKE) --no-print-directory fmt-check lint unit doc deny suite

fmt: ## Format the code
	@$(CARGO) fmt --all

fmt-check: ## Refuse code that is not formatted
	@$(CARGO) fmt --all --check

lint: ## Clippy, where a warning is an error
	@$(CARGO) clippy $(TEST_BUILD) --all-targets -- -D warnings
	@$(CARGO) clippy --locked --workspace -- -D warnings

unit: ## Unit and property tests
	@$(CARGO) test $(TEST_BUILD)

doc: ## Build the documentation, where a warning is an error
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

deny: ## Check the dependencies' licences, origins and known vulnerabilities
	@scripts/deny.sh

# The long ones take down what they run on, and want the machine for themselves: alone, after the others.
suite: ## Integration tests, on a stack of their own
	@$(CARGO) build $(TEST_BUILD) --bins --test suite
	@$(CARGO) test $(TEST_BUILD) --test suite
	@$(CARGO) test $(TEST_BUILD) --test suite -- --ignored --test-threads 1

# SEED repeats a run; without one it is taken from the time.
chaos: ## Kill, freeze and restart every part under load, then check: [SEED=n] [FAULTS=100]
	@$(CARGO) build $(TEST_BUILD) --bins --test suite
	@target/debug/chaos $(if $(SEED),--seed $(SEED)) --faults $(or $(FAULTS),100)

mutants: ## Show that each check of the chaos run and of erasure can fail, by small faults: [NAMES="stale lost"]
	@scripts/mutants.sh $(NAMES)

# The twins come with a later change.
bench: install ## Measure GET and PUT against another revision, in turns: [BASE=revision] [QUICK=1]
	@scripts/bench.sh

clean: ## Remove what was built, and the data of the local default
	@scripts/clean.sh
