SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON311 ?= python3.11
PROFILE ?= local
VENV := .venv
TF1_VENV := .venv-tf1
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null || echo .venv-uv/bin/uv)
LOCK := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
# For amd64 and arm64, whose TensorFlow without CUDA has different names.
UNIVERSAL := --universal --python-version 3.11

# If Python is told to keep no bytecode, as in many containers, each process that imports TensorFlow would compile a
# thousand files anew, 10 seconds long.
unexport PYTHONDONTWRITEBYTECODE

SETUP_TF1 = requirements/tf1.sh $(UV) $(TF1_VENV)

.PHONY: help env tf1 run ui test test-system test-stress bench bench-scale bench-verdict bench-pairs check compile images lock clean npu-emulation cluster

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/ready ## the Python 3.11 environment, and TensorFlow 1.15 if a Python 3.7 is found
	@$(SETUP_TF1) --optional

tf1: $(VENV)/ready ## TensorFlow 1.15.0 on a Python 3.7 (TF1_PYTHON=/path names one)
	@$(SETUP_TF1)

run: env ## train both legs, sample, compare, publish: the whole job on this machine
	@$(VENV)/bin/parity run --profile $(PROFILE)

ui: $(VENV)/ready ## serve the local MLflow store and print the address of the comparison page
	@$(VENV)/bin/parity ui

test: env ## everything that needs nothing but Python
	$(PYTHON) -m pytest -n 2 --dist loadfile -m "not system and not stress" $(PYTEST_OPTIONS)

test-system: env ## adds what needs Docker, Chromium, PostgreSQL, nginx or kubectl, or takes minutes
	$(PYTHON) -m pytest -m "system and not stress" $(PYTEST_OPTIONS)

test-stress: env ## kills, memory, fuzzing: minutes each
	$(PYTHON) -m pytest -n 2 --dist load -m stress $(PYTEST_OPTIONS)

bench: env ## the trainer's speed against a loop shaped like the reference's, 10 minutes
	@$(PYTHON) -m tests.bench

bench-scale: env ## time and memory against size: pictures, steps that are compared, events that are sent, 45 minutes
	@$(PYTHON) -m tests.bench.scale

# NPU_BRIDGE_DOUBLE_CANN and NPU_BRIDGE_DOUBLE_CHIP choose another CANN and chip; newer chips round nothing.
npu-emulation: export NPU_BRIDGE_DOUBLE_CANN ?= 5.0.4
npu-emulation: export NPU_BRIDGE_DOUBLE_CHIP ?= 910A
npu-emulation: tf1 ## steps of the original on an Ascend's rounding, emulated on the CPU behind a double of npu_bridge
	@PATH=$(CURDIR)/tests/npu_bridge_double/bin:$$PATH PYTHONPATH=components:tests/npu_bridge_double \
	  DUALGAN_ASCEND_ROOT=$(CURDIR)/tests/npu_bridge_double/Ascend/$$NPU_BRIDGE_DOUBLE_CANN \
	  NPU_BRIDGE_DOUBLE_CUBE=$(if $(filter 910A,$(NPU_BRIDGE_DOUBLE_CHIP)),factors) \
	  $(TF1_VENV)/bin/python -m dualgan verify tests/components/dualgan/golden --device npu --step-mode two-run

bench-verdict: env ## break one leg at a time and see what the comparison says, 20 minutes
	@$(PYTHON) -m tests.verdict

bench-pairs: env ## equal legs and legs that go wrong late, three seeds each on five datasets, 40 minutes
	@$(PYTHON) -m tests.verdict.pairs .local/pairs --reasons $(PAIRS_OPTIONS)

check: $(VENV)/ready ## lint and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/actionlint .github/workflows/*.yaml
	$(VENV)/bin/zizmor --offline --quiet .github
	MYPYPATH=components $(VENV)/bin/mypy -p dualgan
	MYPYPATH=components $(VENV)/bin/mypy -p parity -p pipelines -p images -p components.dataset -p components.train \
	  -p components.sample -p components.compare -p components.tracking -p components.publish \
	  -p components.replay -p components.preflight -p components.common
	MYPYPATH=components $(VENV)/bin/mypy -p tests

.PHONY: scan
scan: $(VENV)/ready ## a policy scan of every overlay and component
	$(PYTHON) -m tests.manifests.rendered .local/rendered
	$(UV) tool run --python $(PYTHON) checkov@3.3.30 --config-file manifests/checkov.yaml --directory .local/rendered

compile: $(VENV)/ready ## the pipeline package for a cluster (PROFILE=...)
	@$(VENV)/bin/parity compile --profile $(PROFILE)

images: $(VENV)/ready ## the container images cpu, tf1 and mlflow (python -m images --help for the others)
	@$(PYTHON) -m images build

cluster: $(VENV)/ready ## a real Kubeflow Pipelines on this machine with kind, and one run on it (needs make images)
	@manifests/kind/cluster.sh up
	@manifests/kind/cluster.sh run || [ $$? = 4 ]

lock: $(UV) ## resolve the requirement files anew
	$(LOCK) $(UNIVERSAL) pyproject.toml -o requirements/pipeline.txt
	$(LOCK) $(UNIVERSAL) --extra dev -c requirements/pipeline.txt pyproject.toml -o requirements/dev.txt
	$(LOCK) --python-version 3.7 requirements/tf1.in -o requirements/tf1.txt
	$(LOCK) --python-version 3.11 requirements/uv.in -o requirements/uv.txt
	$(LOCK) $(UNIVERSAL) -c requirements/pipeline.txt requirements/image-cpu.in -o requirements/image-cpu.txt
	for name in pipeline gpu; do \
	  $(LOCK) --python-version 3.11 -c requirements/pipeline.txt requirements/image-$$name.in -o requirements/image-$$name.txt || exit; \
	done
	$(LOCK) --python-version 3.11 -c requirements/pipeline.txt -c requirements/dev.txt requirements/image-mlflow.in \
	  -o requirements/image-mlflow.txt
	$(LOCK) --python-version 3.7 -c requirements/tf1.txt requirements/image-trainer.in -o requirements/image-trainer.txt

clean: ## remove the environments and all local results
	rm -rf $(VENV) $(TF1_VENV) .venv-uv .local

.venv-uv/bin/uv:
	@$(PYTHON311) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "make: no Python 3.11 that starts as '$(PYTHON311)'; name one: make PYTHON311=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON311) -m venv .venv-uv
	@.venv-uv/bin/pip install --quiet --require-hashes -r requirements/uv.txt

# Its packages are those of this tree, importable from anywhere, with the commands `parity` and `dualgan`.
$(VENV)/ready: requirements/dev.txt pyproject.toml | $(UV)
	@echo "setting up $(VENV): Python 3.11 with TensorFlow 2, Kubeflow Pipelines and MLflow"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON311)" $(VENV)
	@$(UV) pip sync --quiet --python $(PYTHON) --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@
