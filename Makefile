# `make demo` and `make test` are all that a newcomer types; each installs what it needs.
# The long forms (sim, soak, fuzz, bench, test-clients) have targets of their own.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps build demo test unit-test end-to-end long-end-to-end test-clients nat lint format bench sim lookups links detection views rules seeds durability \
	compatibility soak faults consistency clean proto \
	fuzz fuzz-build fuzz-seeds

PYTHON := .venv/bin/python
RELEASE := .build/release
# How many fresh seeds `make sim` runs, each twice.
SEEDS ?= 50

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

deps: ## install Debian packages and the Python environment
	@docker/install-packages.sh

build: deps ## build the programs, optimised
	swift build -c release --product cyxpeer
	swift build -c release --product cyxcloud
	swift build -c release --product cyxbench
	swift build -c release --product simulate
	swift build -c release --product lyingpeer

demo: build ## a devnet stores files, loses peers twice and gives everything back
	$(PYTHON) Tests/EndToEnd/demo.py --programs $(RELEASE)

test: build lint unit-test ## everything that must hold at every commit
	$(RELEASE)/simulate smoke --seed 1 --seeds 3 --twice
	$(RELEASE)/simulate smoke --seed $(FRESH_SEED) --twice
	$(MAKE) end-to-end

unit-test:
	swift build --build-tests
	swift test --skip-build

end-to-end:
	$(PYTHON) Tests/EndToEnd/run.py --programs $(RELEASE)
	$(PYTHON) Tests/EndToEnd/nat.py --programs $(RELEASE)

long-end-to-end: build ## leases that end, and partitions that split as a network grows, with real processes
	$(PYTHON) Tests/EndToEnd/run.py --programs $(RELEASE) --only leases splits

test-clients: build ## s3cmd, restic, duplicity, s3fs, rclone, DVC, MLflow and others keep files in a devnet
	docker/install-packages.sh --clients
	$(PYTHON) Tests/EndToEnd/programs/s3_programs.py --programs $(RELEASE)

compatibility: build ## write Tests/EndToEnd/clients/s3-compatibility.md from a run of all S3 clients
	docker/install-packages.sh --clients
	$(PYTHON) Tests/EndToEnd/support/compatibility.py --programs $(RELEASE)

nat: build ## the 16 pairings of NATs, simulated; two houses behind real NATs: direct, cut, relayed
	$(RELEASE)/simulate nat
	$(PYTHON) Tests/EndToEnd/nat.py --programs $(RELEASE)

lint: deps ## formatting; layering and banned calls are tests (LintTests)
	swift format lint --strict --recursive Package.swift Sources Tests Simulations

format: ## rewrite the sources in the house format
	swift format --in-place --recursive Package.swift Sources Tests Simulations

bench: build ## every benchmark, each as a ratio to a baseline of the same run
	for name in hash erasure aead store transport objects listing; do $(RELEASE)/cyxbench $$name; done
	$(PYTHON) Tests/EndToEnd/throughput.py --programs $(RELEASE)
	$(PYTHON) Tests/EndToEnd/small_objects.py --programs $(RELEASE)
	$(PYTHON) Tests/EndToEnd/listing.py --programs $(RELEASE)

FRESH_SEED = $$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')

sim: build ## SEEDS fresh seeds of whole peers under faults (14 peers, 2 virtual minutes), each twice
	$(RELEASE)/simulate smoke --seed $(FRESH_SEED) --seeds $(SEEDS) --twice

lookups: build ## lookups of 1 k to 1 M simulated peers beside their model, and under an eclipse
	$(RELEASE)/simulate lookup
	$(RELEASE)/simulate eclipse

links: build ## goodput over lossy and clean links with CUBIC and BBR, beside their models
	$(RELEASE)/simulate links

detection: build ## failure detection among slow members: plain SWIM, Lifeguard, and as peers run it
	$(RELEASE)/simulate detection

views: build ## what it costs a peer to know others in networks of 1 k to 100 k, and who notices deaths
	$(RELEASE)/simulate views

rules: build ## each rule of tables and objects left out, and the seed at which an invariant then breaks
	$(RELEASE)/simulate rules object-rules

durability: build ## a lost zone rebuilt while users read; years of losses beside the closed-form models
	$(RELEASE)/simulate repair
	$(RELEASE)/simulate durability

seeds: build ## SEEDS fresh seeds of all faults (tables and objects alone, whole peers every 25th), each twice
	$(RELEASE)/simulate seeds --seed $(FRESH_SEED) --seeds $(SEEDS) --jobs 0

soak: build ## 60 simulated peers for an hour; a 4 GiB object with the gateway's memory watched
	$(RELEASE)/simulate network --seed $(FRESH_SEED) --twice
	$(PYTHON) Tests/EndToEnd/big_object.py --programs $(RELEASE)

faults: build ## 10 min of mixed load through two gateways, which die as peers do; nothing wrong, nothing lost
	$(PYTHON) Tests/EndToEnd/gateways/under_faults.py --programs $(RELEASE)

consistency: build ## 30 min of faults on 20 real peers; every history must be linearizable
	$(PYTHON) Tests/EndToEnd/linearizability.py --programs $(RELEASE)

# How long each target runs. What is found on the way is kept and gone on with next time.
FUZZ_SECONDS ?= 60
FUZZ := .build/fuzz/release/fuzz

# Coverage and AddressSanitizer throughout, and libFuzzer without its own `main`.
fuzz-build: deps
	library="$$(ls "$$(dirname "$$(readlink -f "$$(command -v swift)")")"/../lib/clang/*/lib/*/libclang_rt.fuzzer_no_main-"$$(uname -m)".a | head -1)"; \
	CYX_FUZZ=1 swift build --scratch-path .build/fuzz -c release --product fuzz --sanitize address \
	    -Xswiftc -enable-testing -Xswiftc -Xfrontend -Xswiftc -sanitize=fuzzer \
	    -Xcc -fsanitize=fuzzer-no-link -Xlinker "$$library" -Xlinker -lstdc++

fuzz: fuzz-build ## a minute of coverage-guided inputs for every decoder of bytes from outside
	mkdir -p .build/fuzz/crashes
	for target in $$($(FUZZ) list); do \
	    mkdir -p .build/fuzz/corpora/$$target; \
	    $(FUZZ) run $$target .build/fuzz/corpora/$$target Tests/Fuzz/Corpora/$$target \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 -malloc_limit_mb=256 -print_final_stats=1 \
	        -artifact_prefix=.build/fuzz/crashes/$$target- > .build/fuzz/crashes/$$target.log 2>&1 \
	        || { tail -40 .build/fuzz/crashes/$$target.log; exit 1; }; \
	    echo "$$target: $$(grep DONE .build/fuzz/crashes/$$target.log)"; \
	done

fuzz-seeds: fuzz-build ## write the corpora anew from the encoders
	$(FUZZ) seeds Tests/Fuzz/Corpora

clean: ## remove what was built
	rm -rf .build

# Each schema of Sources/CyxRPC/Schemas, and the target whose Generated folder its Swift belongs to:
# SCHEMA:TARGET, or SCHEMA:TARGET:MODULE,MODULE where its Swift must import further targets.
SCHEMAS := overlay:CyxOverlay reachability:CyxOverlay tables:CyxTables objects:CyxObjects repair:CyxObjects \
    audits:CyxObjects transport:CyxTransport

proto: ## regenerate the Swift of every protobuf schema; the result is checked in
	swift build $(SWIFT_FLAGS) --product protoc-gen-cyx
	@plugin="$$(swift build $(SWIFT_FLAGS) --show-bin-path)/protoc-gen-cyx"; \
	generate() { \
	    mkdir -p "$$2"; \
	    protoc --plugin=protoc-gen-cyx="$$plugin" --cyx_out="$$2" $$3 -I "$$(dirname "$$1")" "$$1"; \
	    swift format -i "$$2/$$(basename "$$1" .proto).pb.swift"; \
	    echo "$$1 -> $$2"; \
	}; \
	for entry in $(SCHEMAS); do \
	    IFS=: read -r name target modules <<< "$$entry"; \
	    schema="Sources/CyxRPC/Schemas/$$name.proto"; options=""; \
	    for module in $${modules//,/ }; do options+=" --cyx_opt=import=$$module"; done; \
	    if [ -f "$$schema" ]; then generate "$$schema" "Sources/$$target/Generated" "$$options"; fi; \
	done; \
	if [ -d Tests/Schemas ]; then \
	    generate Tests/Schemas/everything.proto Tests/CyxCoreTests/Protobuf/Generated ""; fi
