# LLoCO pipeline. `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MARKER ?= not real
PYTEST = $(BIN)/python -m pytest -m "$(MARKER)" $(ARGS)
# whole lines, as two of them print at once; 5: ARGS match nothing there
LINES = | sed -u "" $(if $(ARGS),|| [ $$? = 5 ])
SHELL := bash
.SHELLFLAGS := -o pipefail -c
RUN_DIR ?= .lloco
CORPUS ?= $(RUN_DIR)/corpus
STORE ?= $(RUN_DIR)/store
CONFIG ?= examples/laptop.yaml
# uv does not read pip's variable; a wheel that lies there (a CPU build of torch, say) is preferred
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# TORCH_BACKEND=cpu or cu130 picks the build of torch where no local wheel does
TORCH_BACKEND ?=
UV_FLAGS := $(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND))
# Prefect keeps its database and settings here; without a server the flows run in-process
export PREFECT_HOME ?= $(abspath $(RUN_DIR))/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180
export PREFECT_LOGGING_EXTRA_LOGGERS := lloco_core
export PREFECT_LOGGING_LEVEL ?= INFO
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PYTHONPATH := $(CURDIR)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip install -q --python $(BIN)/python $(UV_FLAGS) -c constraints.txt -e ".[orchestration,dev]"
	touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Create the virtual environment with everything in it

.PHONY: run
run: setup ## Run a night: make run [CORPUS=folder|s3://...] [STORE=folder|s3://...] [CONFIG=file.yaml] [ARGS="--option value"]
	@if [ "$(CORPUS)" = "$(RUN_DIR)/corpus" ]; then $(BIN)/python -m lloco_core.corpus.demo "$(CORPUS)"; fi
	$(BIN)/python -m flows.nightly --config $(CONFIG) --corpus.uri "$(CORPUS)" --store.uri "$(STORE)" $(ARGS)

.PHONY: test
test: setup ## Run the tests, unit tests beside those that start services (under 12 minutes on 2 cores)
	@$(MAKE) --no-print-directory -j 2 unit-tests service-tests MARKER="not real"

.PHONY: test-real
test-real: setup ## Run the slow tests against real services (Ceph, Prefect server and worker, README commands)
	@$(MAKE) --no-print-directory -j 2 unit-tests service-tests MARKER=real

.PHONY: unit-tests
unit-tests: setup ## Run the tests in tests/unit: make unit-tests [MARKER=real] [ARGS="-k name"]
	$(PYTEST) tests/unit $(LINES)

.PHONY: service-tests
service-tests: setup ## Run the tests that start clusters and services, one after another: make service-tests [MARKER=real] [ARGS="-k name"]
	$(PYTEST) tests/contract tests/crash tests/flows tests/gpu $(LINES)

.PHONY: lint
lint: setup ## Check style, imports, and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: stack
stack: setup ## Start a Prefect server and a process worker on this machine, and deploy the flows
	$(BIN)/python infra/local_stack.py

.PHONY: plan
plan: setup ## Say what `make run` would do and cost, and change nothing: make plan [CORPUS=...] [STORE=...] [CONFIG=...] [ARGS=...]
	$(BIN)/python -m flows.plan_corpus --config $(CONFIG) --corpus.uri "$(CORPUS)" --store.uri "$(STORE)" $(ARGS)

.PHONY: maintain
maintain: setup ## Maintain the store of `make run`: compaction, indices, old nights, orphans: make maintain [STORE=...] [ARGS=...]
	$(BIN)/python -m flows.maintain_store --store.uri "$(STORE)" $(ARGS)

.PHONY: train-encoder
train-encoder: CONFIG = examples/train_encoder.yaml
train-encoder: setup ## Train a context encoder: make train-encoder [CONFIG=file.yaml] [ARGS="--text.files folder --output folder"]
	$(BIN)/python -m flows.train_encoder --config $(CONFIG) $(ARGS)

.PHONY: status
status: setup ## Show the store of `make run`
	$(BIN)/lloco status --store "$(STORE)"

.PHONY: clean
clean: ## Remove the store, corpus, and Prefect database of `make run`
	rm -rf $(RUN_DIR)

.PHONY: benchmark-pipeline
benchmark-pipeline: setup ## Compare the pipeline's encode stage with the encoder alone, on the same documents
	$(BIN)/python benchmarks/pipeline.py $(ARGS)

.PHONY: benchmark-compaction
benchmark-compaction: setup ## Measure the memory of compacting wide rows, and what a second pass rewrites
	$(BIN)/python benchmarks/compaction.py $(ARGS)

.PHONY: benchmark-parsing
benchmark-parsing: setup ## Measure what parsing in a child process costs, a PDF of 10,000 pages, and how much of known text is found
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e ".[benchmark]"
	$(BIN)/python benchmarks/parsing.py $(ARGS)
	$(BIN)/python -m benchmarks.text_recall

.PHONY: benchmark-night
benchmark-night: setup ## Measure the default night and update the README's table
	$(BIN)/python benchmarks/night.py

.PHONY: benchmark-encode
benchmark-encode: setup ## Measure the encoder on this machine (card or CPU) and update the README's table
	$(BIN)/python benchmarks/encode.py $(ARGS)
	$(BIN)/python benchmarks/encode.py --readme

.PHONY: benchmark-train
benchmark-train: setup ## Measure the speed of encoder training on this machine and update the table in docs/training.md
	$(BIN)/python benchmarks/train.py $(ARGS)
	$(BIN)/python benchmarks/train.py --docs

.PHONY: readme-tables
readme-tables: setup ## Update the tables of README and docs from the result files
	$(BIN)/python benchmarks/night.py --readme
	$(BIN)/python benchmarks/encode.py --readme
	$(BIN)/python benchmarks/vectors.py --docs
	$(BIN)/python benchmarks/pipeline.py --docs
	$(BIN)/python benchmarks/scale.py --docs
	$(BIN)/python benchmarks/compaction.py --docs
	$(BIN)/python benchmarks/train.py --docs
	$(BIN)/python benchmarks/parsing.py --docs
	$(BIN)/python -m benchmarks.formats_table
	$(BIN)/python -m benchmarks.text_recall --docs
	$(BIN)/python -m benchmarks.reference_report

.PHONY: benchmark-vectors
benchmark-vectors: setup ## Measure what the formats of stored vectors cost and update the table in docs/operations.md
	$(BIN)/python benchmarks/vectors.py $(ARGS)

.PHONY: benchmark-scale
benchmark-scale: setup ## Measure planning, writing, and committing from 10,000 to a million objects and update docs/scale.md
	$(BIN)/python benchmarks/scale.py $(ARGS)
