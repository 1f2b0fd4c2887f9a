# Everything from a fresh Debian machine with a Rust toolchain; `make help` lists it.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run test lint bench setup

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Replay a bundled recording into an OTLP receiver, and show its slowest upcalls
	$(CARGO) run --locked --quiet --package upspan -- demo

test: setup ## Run all tests, also those against third-party programs
	tests/third_party/setup
	tests/usdt/setup
	$(CARGO) test --locked --workspace

lint: setup ## Check format, lints, documentation, licences and unused dependencies
	scripts/setup-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	$(CARGO) deny --locked check bans licenses sources
	$(CARGO) machete

bench: setup ## Measure; BENCH_FULL=1 adds what takes minutes
	$(CARGO) bench --locked --package upspan
	tests/benches/setup
	$(CARGO) bench --locked --package upspan-tests

setup:
	@scripts/setup
