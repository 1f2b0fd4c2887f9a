# Everything from a fresh Debian machine with a Rust toolchain; `make help` lists it.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run live test test-vm lint bench bench-vm setup setup-live

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Replay a bundled recording into an OTLP receiver, and show its slowest upcalls
	$(CARGO) run --locked --quiet --package upspan --no-default-features -- demo

live: setup-live ## Capture the upcalls of this node (as root), and send them to OTEL_EXPORTER_OTLP_ENDPOINT
	$(CARGO) run --locked --quiet --release --package upspan -- run

test: setup-live ## Run all tests, also those against third-party programs
	tests/third_party/setup
	tests/usdt/setup
	$(CARGO) test --locked --workspace

test-vm: setup-live ## Boot kernels with a real Open vSwitch, and judge what is captured there
	tests/vm/setup
	CARGO=$(CARGO) tests/vm/run

lint: setup-live ## Check format, lints, documentation, licences and unused dependencies
	scripts/setup-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package upspan --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	$(CARGO) deny --locked check bans licenses sources
	$(CARGO) machete

bench: setup-live ## Measure; BENCH_FULL=1 adds what takes minutes
	$(CARGO) bench --locked --package upspan
	tests/benches/setup
	$(CARGO) bench --locked --package upspan-tests

bench-vm: setup-live ## Measure in a virtual machine what tracing costs, and what upcall_cost.py costs there
	tests/vm/setup
	CARGO=$(CARGO) tests/vm/bench/run

setup:
	@scripts/setup

setup-live: setup
	@scripts/setup-live
