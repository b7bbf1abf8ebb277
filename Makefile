# Two commands do all the set-up: `make demo` shows the main job on real input, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two test files at a time: many tests wait for processes, servers and a browser.
TOGETHER := --numprocesses 2 --dist loadfile

.PHONY: help install demo lab test test-fast test-upstream soak check format bench notebooks clean

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(INSTALLED)  ## set up .venv with everything that notebooks and tests need

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[arrays,dask,export,notebook,platform]" --group dev
	touch $@

demo: install  ## run notebooks/01_quickstart.ipynb on real input; prints where everything is
	$(BIN)/python notebooks/execute.py notebooks/01_quickstart.ipynb --into demo

lab: install  ## open JupyterLab on the quickstart
	$(BIN)/jupyter lab notebooks/01_quickstart.ipynb

test: install check  ## run all tests, the real browser included
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest $(TOGETHER)

test-fast: install  ## run the tests that need neither browser nor kernel
	$(BIN)/python -m pytest $(TOGETHER) -m "not browser and not kernel"

soak: install  ## run the slow test of a store that many processes share and some are killed in, in full
	DISSMODEL_LAB_SOAK=1 $(BIN)/python -m pytest tests/test_store.py -k eight_writers

test-upstream: install  ## test against several versions of PyPI dissmodel, each in an environment of its own
	$(BIN)/python tests/upstream_matrix/run.py

check: install  ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## print the benchmark figures beside the peers'
	$(BIN)/python tests/benchmarks/run.py

notebooks: install  ## execute the notebooks in place, with static twins and no widget state
	$(BIN)/python notebooks/execute.py --in-place notebooks/*.ipynb

clean:  ## remove what was made, the runs of the demo included; the virtual environment stays
	rm -rf demo test-artifacts dist build .pytest_cache .mypy_cache .ruff_cache
