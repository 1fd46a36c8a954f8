# Weaklink: `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup lock demo replay evaluate bench bench-quick bench-growth bench-scale bench-latency bench-ragged campaign-full chaos chaos-full test check docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## make .venv with everything pinned, and the command `weaklink` in it

# uv comes first, by its own pinned hashes: it installs the rest ten times faster than pip. Bytecode is made now: where Python may not write it
# (PYTHONDONTWRITEBYTECODE, folders that are read only) every start would compile all libraries anew, which is half of a worker's start.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Weaklink needs Python 3.11 or newer; $$($(PYTHON) --version) is what '$(PYTHON)' is. Set PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/{keep=/^uv==/} keep' requirements.lock > $(VENV)/uv.lock
	$(BIN)/pip install --quiet --require-hashes -r $(VENV)/uv.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q services
	$(BIN)/python -m weaklink.compiled
	@touch $@

lock: ## resolve pyproject.toml again into requirements.lock, with hashes; and Kafka's jars (needs Maven)
	$(BIN)/uv pip compile --universal --generate-hashes --all-extras --quiet --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(BIN)/python -m weaklink.ops.kafka_jars > services/weaklink/ops/kafka-jars.sha256.new && mv services/weaklink/ops/kafka-jars.sha256.new services/weaklink/ops/kafka-jars.sha256

demo: setup ## the whole of Weaklink on a local broker: parties, campaigns, actions, receipts
	$(BIN)/weaklink demo

replay: setup ## real data (DATA=folder) through a running pipeline
	$(BIN)/weaklink replay $(DATA)

evaluate: setup ## how good detection is: all test worlds, real data, simple rules; build/evaluate/results.json and the tables of docs/detection.md (most of a day)
	$(BIN)/weaklink evaluate --data $(DATA)
	$(BIN)/weaklink evaluate --docs docs/detection.md

bench: setup ## the join beside Flink, Kafka Streams, Quix, Faust and raw reception; build/bench/results.json (needs Java and Maven; a quiet machine)
	$(BIN)/python -m bench

bench-quick: setup ## the same in a few minutes: Weaklink, raw reception and Flink, once; build/bench/quick/results.json
	$(BIN)/python -m bench --quick

bench-growth: setup ## correlate at 1, 10 and 50 million links, campaigns at a million accounts; build/bench/*growth.json (8 GB, 20 minutes; a quiet machine)
	$(BIN)/python -m bench.growth
	$(BIN)/python -m bench.campaigns_growth

bench-scale: setup ## 1, 2 and 4 workers of ingest and correlate on a real broker, killed and joined: exact output, balance, handover; build/bench/scale.json
	$(BIN)/python -m bench.scale

bench-latency: setup ## from publication to action at 20,000 and 100,000 events/s, 5 minutes each, the whole pipeline; build/bench/latency.json (16 minutes; a quiet machine)
	$(BIN)/python -m bench.load.latency

bench-ragged: setup ## 500 parties, an event a batch, mixed records and framings, idle parties: waits, latency, fairness; build/bench/ragged.json (5 minutes)
	$(BIN)/python -m bench.load.ragged

campaign-full: setup ## the reported campaigns at full size in a closed loop; build/campaign-full/summary.json and pictures (under 20 minutes, 10 GB)
	$(BIN)/python -m bench.campaign_full

chaos: setup ## the fault laboratory: every fault with a fifth of its counts (FAULTS=a,b: only these), under 50 minutes; build/chaos/results.json
	@deploy/test-prerequisites
	$(BIN)/python -m chaos $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED))

chaos-full: setup ## the same with the full counts, under 150 minutes
	@deploy/test-prerequisites
	$(BIN)/python -m chaos --full $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED))

docs: setup ## the documentation, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: setup ## lint, types, import rules
	$(BIN)/ruff check services tests bench chaos
	$(BIN)/ruff format --check --quiet services tests bench chaos
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## all tests; installs PostgreSQL where it may
	@deploy/test-prerequisites
	@# in their own order: by number of tests, the few and long ones of tests/chaos would come last and leave one core idle
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=25

clean: ## remove what builds and runs left behind
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
