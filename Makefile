# Penstock. `make` alone lists what can be made.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Penstock needs Python 3.11 or newer; set PYTHON=…") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing locked dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: install
install: $(STAMP) ## Make .venv from the locked dependencies

.PHONY: lint
lint: $(STAMP) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: $(STAMP) lint ## Everything that must hold, from a clean checkout
	$(BIN)/pytest -n 2 --dist loadgroup

.PHONY: bench-judge
bench-judge: $(STAMP) ## False rollbacks and power of the judge beside other tools' rules (about an hour)
	$(BIN)/python -m benchmarks.judge

.PHONY: bench
bench: bench-judge ## All benchmarks

.PHONY: cluster-up
cluster-up: ## A real one-node Kubernetes on this machine
	$(PYTHON) -m localcluster up

.PHONY: cluster-down
cluster-down: ## Take it away again, to the last interface
	$(PYTHON) -m localcluster down

.PHONY: clean
clean: ## Remove what make made inside the checkout
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
