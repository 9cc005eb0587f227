# Rhythm: `make demo` runs the main job, `make test` passes the tests; both install what is missing.

.DEFAULT_GOAL := help
.PHONY: help deps python build demo demo-celery test sim chaos matrix fuzz mutate tsan asan bench bench-celery proto format check clean

BUILD ?= .build
SWIFT_BUILD = swift build --scratch-path $(BUILD)
DIRECTORY ?=

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install the Debian packages that are missing
	@.ci/install-dependencies

python: deps ## Make the Python environments of the tests and of demo-celery (BUILD/python)
	@BUILD=$(BUILD) .ci/install-python

build: deps ## Build rhythmd, rhythm and rhythm-supervisor in release mode (BUILD/release)
	$(SWIFT_BUILD) -c release --product rhythmd
	$(SWIFT_BUILD) -c release --product rhythm
	$(SWIFT_BUILD) -c release --product rhythm-supervisor

demo: deps ## Run a workflow over real files, with a pause and a kill -9 (DIRECTORY=/some/files)
	$(SWIFT_BUILD) --product rhythmd
	$(SWIFT_BUILD) --product rhythm
	$(SWIFT_BUILD) --product rhythm-supervisor
	@clients/demo/run $(BUILD)/debug $(DIRECTORY)

demo-celery: python ## The same on Celery workers, with a worker that is killed (DIRECTORY=/some/files)
	$(SWIFT_BUILD) --product rhythmd
	$(SWIFT_BUILD) --product rhythm
	@clients/demo/run-celery $(BUILD)/debug $(BUILD)/python $(DIRECTORY)

test: python ## Run every test
	$(SWIFT_BUILD) --build-tests
	@BUILD=$(BUILD) .ci/test

sim: deps ## Simulate lives of the engine with fresh seeds (SEEDS=5000)
	$(SWIFT_BUILD) --build-tests
	RHYTHM_SIM_SEEDS=$${SEEDS:-5000} swift test --scratch-path $(BUILD) --skip-build --filter SimulationTests

chaos: python ## Kill the server under 100 workflows (ROUNDS=10), and all that Celery needs for 8 minutes
	$(SWIFT_BUILD) --build-tests
	for round in $$(seq $${ROUNDS:-10}); do \
	    swift test --scratch-path $(BUILD) --skip-build --filter '\.ChaosTests' || exit 1; done
	RHYTHM_CHAOS_CELERY=200 RHYTHM_CHAOS_SECONDS=300 swift test --scratch-path $(BUILD) --skip-build \
	    --filter CeleryChaosTests
	RHYTHM_CHAOS_STREAMS=1 RHYTHM_CHAOS_CELERY=100 RHYTHM_CHAOS_SECONDS=150 swift test --scratch-path $(BUILD) \
	    --skip-build --filter CeleryChaosTests
	RHYTHM_CHAOS_SLEEP=120 swift test --scratch-path $(BUILD) --skip-build --filter FleetTests/serverSleeps
	RHYTHM_CHAOS_PARTITION=40 swift test --scratch-path $(BUILD) --skip-build --filter FleetFaultTests

matrix: python ## Run the main story over all pairs of Celery's settings (ROWS=3,17 some of them, WIDTH=2 at a time)
	$(SWIFT_BUILD) --build-tests
	RHYTHM_MATRIX=$${ROWS:-all} RHYTHM_MATRIX_WIDTH=$${WIDTH:-2} swift test --scratch-path $(BUILD) --skip-build \
	    --filter '^EndToEndTests\.MatrixTests'

fuzz: deps ## Feed the decoders what libFuzzer thinks of (SECONDS=60 for each)
	@SECONDS_EACH=$(or $(SECONDS),60) .ci/fuzz

mutate: deps ## Feed the decoders a million frames with changed bytes
	@$(SWIFT_BUILD) --build-tests
	@SWIFT_BACKTRACE=enable=no RHYTHM_MUTATIONS=1000000 swift test --scratch-path $(BUILD) --skip-build \
	    --filter '^RhythmWireTests\.HostileInputTests/mutatedFramesDoNoHarm'

tsan: deps ## Run the tests of wire, server, client and engine under the thread sanitizer
	@.ci/sanitize thread

asan: deps ## The same under the address sanitizer
	@.ci/sanitize address

bench: deps ## Measure the engine against its bars
	$(SWIFT_BUILD) -c release --product rhythm-bench
	$(SWIFT_BUILD) -c release --product rhythm-supervisor
	$(BUILD)/release/rhythm-bench engine

bench-celery: python ## Measure beside the original library, same broker and workers (ARGUMENTS='--runs 5')
	$(SWIFT_BUILD) -c release --product rhythmd
	$(SWIFT_BUILD) -c release --product rhythm-bench
	@clients/demo/bench-celery $(BUILD)/release $(BUILD)/python $(ARGUMENTS)

proto: deps ## Generate the C code of the protocol anew
	proto/generate.sh
	proto/numbers.sh

format: ## Format the Swift sources
	swift format format --in-place --recursive --parallel Package.swift Sources clients Tests

check: deps ## What CI checks besides the tests: format, generated code, imports, C warnings
	@.ci/check

clean: ## Remove what was built
	rm -rf $(BUILD)
