# Penstock. `make` alone lists what can be made.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.installed
NATIVE := serving/native
# Named after the Rust that is here, as what was left out for the want of one is made as soon as there is one.
STAMP := $(VENV)/.lane-$(or $(word 2,$(shell cargo --version 2>/dev/null)),none)

$(PACKAGES): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Penstock needs Python 3.11 or newer; set PYTHON=…") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing locked dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(STAMP): $(PACKAGES) $(addprefix $(NATIVE)/,build.py Cargo.toml Cargo.lock pyproject.toml) $(shell find $(NATIVE)/src)
	@$(BIN)/python $(NATIVE)/build.py install $@

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: demo demo-down
demo: $(STAMP) ## A real Kubernetes, a real model, six releases; the bad ones take themselves back
	@$(BIN)/python examples/demo
demo-down: ## End the demo's cluster and remove everything of it
	@$(PYTHON) -m localcluster down

.PHONY: install
install: $(STAMP) ## Make .venv from the locked dependencies, with the native lane where there is Rust

.PHONY: lint
lint: $(STAMP) ## ruff, mypy --strict, import contracts; cargo fmt and clippy where there is Rust
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python $(NATIVE)/build.py lint

.PHONY: test test-everything test-here test-units test-native test-real
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --durations 10
SIDE_BY_SIDE := -n 2 --dist loadgroup --no-loadscope-reorder
# $(call hold,name,how,what): what fails beside everything else is tried once more by itself; what fails twice has failed.
hold = $(PYTEST) -o cache_dir=.pytest_cache/$(1) $(2) $(3) || { test $$? -eq 1; echo "Once more, by itself: what failed"; \
	$(PYTEST) -o cache_dir=.pytest_cache/$(1) --last-failed --last-failed-no-failures none $(3); }
test: ## Everything but the campaign, with a real API server and a real node where they can run (root, Linux)
	@log=$$(mktemp); set -m; $(PYTHON) -m localcluster prepare >$$log 2>&1 & prepare=$$!; set +m; \
	trap 'kill -INT -- -$$prepare; wait $$prepare; exit 130' INT TERM; \
	$(MAKE) --no-print-directory lint || { kill -INT -- -$$prepare; wait $$prepare || true; rm -f $$log; exit 1; }; \
	echo "And meanwhile, what a cluster needs:"; tail -n +1 -f --pid=$$prepare $$log; \
	refused=0; wait $$prepare || refused=$$?; trap - INT TERM; rm -f $$log; \
	case $$refused in \
	  0) $(MAKE) --no-print-directory test-everything ;; \
	  2) $(MAKE) --no-print-directory test-here; echo "LEFT OUT, as no cluster can run here (see above): tests/controlplane, tests/node" ;; \
	  *) exit $$refused ;; \
	esac
# What runs real servers waits most of the time: what computes runs beside it, and steps aside for it.
test-everything: $(STAMP)
	@log=$$(mktemp); set -m; $(MAKE) --no-print-directory test-real >$$log 2>&1 & real=$$!; set +m; \
	trap 'kill -INT -- -$$real; wait $$real; exit 130' INT TERM; failed=0; \
	nice -n 10 $(MAKE) --no-print-directory test-units || failed=1; \
	echo "And with real Envoy, API server and node:"; tail -n +1 -f --pid=$$real $$log; \
	wait $$real || failed=1; rm -f $$log; exit $$failed
test-units: $(STAMP) test-native
	$(call hold,units,$(SIDE_BY_SIDE),-m "not controlplane and not node and not campaign" \
	  --ignore tests/localcluster --ignore tests/router tests)
test-native: $(STAMP)
	$(BIN)/python $(NATIVE)/build.py test || { echo "Once more"; $(BIN)/python $(NATIVE)/build.py test; }
test-real: $(STAMP)
	$(call hold,clusters,$(SIDE_BY_SIDE),-m "not campaign" tests/node tests/controlplane tests/router/test_router_kubernetes.py)
	$(call hold,router,,-m "not campaign" tests/router --ignore tests/router/test_router_kubernetes.py)
	$(call hold,localcluster,,-m "not campaign" tests/localcluster)
test-here: $(STAMP) test-native ## What needs no cluster, without the linters
	$(call hold,here,$(SIDE_BY_SIDE),-m "not controlplane and not node and not campaign" \
	  --ignore tests/localcluster --ignore tests/router/test_router_kubernetes.py tests)

.PHONY: campaign
campaign: $(STAMP) cluster-prepare ## What takes longer: more kills, longer silences, more releases
	PENSTOCK_QUIET_SECONDS=60 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n 0 -m campaign tests
	PENSTOCK_QUIET_SECONDS=60 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n 0 -m node tests/node

.PHONY: manifests
manifests: $(STAMP) ## Render crds/, manifests/install.yaml and docs/conditions.md from the code
	$(BIN)/python -m penstock.api.crds
	$(BIN)/python manifests/render.py
	$(BIN)/python docs/render_conditions.py

.PHONY: bench-judge
bench-judge: $(STAMP) ## False rollbacks and power of the judge beside other tools' rules (about an hour)
	$(BIN)/python -m benchmarks.judge

.PHONY: mutation
mutation: $(STAMP) ## Would the tests notice a slightly wrong judge? Prints the mutants that survive
	$(BIN)/python -m benchmarks.judge.mutation

.PHONY: bench-serving
bench-serving: $(STAMP) ## The model server beside KServe's, MLServer and BentoML, on one core (needs two)
	$(BIN)/python -m benchmarks.serving

.PHONY: conformance
conformance: $(STAMP) ## Ask our server by KServe's and MLServer's clients, and test their servers; each in an environment of its own
	$(BIN)/python -m tests.serving_clients.peers clients
	$(BIN)/python -m tests.serving_clients.peers servers --folder build/conformance

.PHONY: fuzz
fuzz: $(STAMP) ## Fuzz what reads requests, by coverage (installs atheris); tests replay what it finds
	$(BIN)/python -m pip install --quiet --no-deps "atheris>=3,<4"
	$(BIN)/python -m tests.serving_fuzz.fuzz

.PHONY: bench
bench: bench-judge bench-serving ## All benchmarks

.PHONY: cluster-up cluster-down cluster-prepare
cluster-up: ## A real Kubernetes on this machine (node tier)
	@$(PYTHON) -m localcluster up
cluster-down: ## End it and remove everything of it
	@$(PYTHON) -m localcluster down
cluster-prepare: ## Install and build what a cluster needs, without starting one
	@$(PYTHON) -m localcluster prepare

.PHONY: clean
clean: ## Remove what make made inside the checkout
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf $(NATIVE)/wheels/*.whl $(NATIVE)/target
