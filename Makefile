# make demo   the whole path on a grocery log
# make test   the tests, after the set-up they need
# make check  what CI runs: lint, types, layers, all tests, notebooks
# make bench  the benchmarks

# The first Python that runs (a shim may be there and not run) and is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test check lint types layers notebooks install-check bench format clean

demo: $(VENV)/.demo
	$(BIN)/ces-ml demo

test: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

check: lint types layers $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadgroup
	$(MAKE) notebooks

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

notebooks: $(VENV)/.dev
	$(BIN)/python notebooks/run.py

# A plain `pip install .`, without extras, in an environment of its own.
install-check:
	rm -rf $(VENV)-plain
	$(PYTHON) -m venv $(VENV)-plain
	$(VENV)-plain/bin/pip install --quiet .
	$(VENV)-plain/bin/python tests/installed/check.py
	rm -rf $(VENV)-plain

bench: $(VENV)/.dev
	@for script in experiments/benchmarks/*/run.py; do echo "$$script"; $(BIN)/python "$$script"; done

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ces-ml needs Python 3.11 or newer: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "No virtual environment could be made; on Debian: apt-get install python3-venv"; exit 2; }

# The dev install holds the demo's packages too, so it satisfies both.
$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo
