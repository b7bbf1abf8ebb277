# Two commands do all the set-up: `make demo` shows the main job on real input, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Several tests at a time: many wait for processes, servers and a browser.
TOGETHER := --numprocesses 2 --dist worksteal
# Hundreds of processes are started by tests: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
# Another environment that happens to be active is not the one that is used here.
unexport VIRTUAL_ENV

.PHONY: help install demo lab test test-fast test-upstream test-versions test-wheel accessibility audit soak fuzz check format bench docs messages notebooks clean

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
	$(BIN)/python -m pytest $(TOGETHER) -m "not soak"

test-fast: install  ## run the tests that need neither browser nor kernel
	$(BIN)/python -m pytest $(TOGETHER) -m "not browser and not kernel and not soak"

soak: install  ## 10,000 runs, 1,000 of them killed, on broken disks and clocks, and the long tests; report in test-artifacts/soak
	$(BIN)/python tests/soak/run.py --runs 10000 --kills 1000 --seed 1 --report test-artifacts/soak
	$(BIN)/python -m pytest $(TOGETHER) -m soak --timeout 1800

test-upstream: install  ## test against several versions of PyPI dissmodel, each in an environment of its own
	$(BIN)/python tests/upstream_matrix/run.py

test-versions: install  ## run the fast tests with the oldest and with the newest libraries, each in .venv-*
	$(BIN)/python tests/versions/run.py

test-wheel: install  ## build the wheel, look into it, install it in an empty environment, run a sample of the tests there
	$(BIN)/python tests/versions/wheel.py

accessibility: install  ## every view by axe-core, light and dark, wide and narrow; make test does a part of it
	$(BIN)/python tests/browser/chromium.py
	DISSMODEL_LAB_ACCESSIBILITY=1 $(BIN)/python -m pytest --timeout 900 tests/browser/test_accessibility.py

audit: install  ## ask the Python advisory database about every installed package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --skip-editable

check: install  ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## print the benchmark figures beside the peers'
	$(BIN)/python tests/benchmarks/run.py

fuzz: install  ## look for inputs that break parsers, stores and files: about ten minutes; the corpus is kept in .fuzz
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python tests/fuzz/parsers.py --seconds $(or $(SECONDS),300) --corpus .fuzz
	$(BIN)/python tests/fuzz/run.py --inputs 10000 --seed 1
	DISSMODEL_LAB_EXAMPLES=20 $(BIN)/python -m pytest $(TOGETHER) --timeout 1800 tests/properties

docs: install  ## build the documentation, strictly, into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

messages: install  ## find the sentences of the code, and compile their translations
	$(BIN)/python tests/catalog.py

notebooks: install  ## execute the notebooks in place, with static twins and no widget state
	$(BIN)/python notebooks/execute.py --in-place notebooks/*.ipynb

clean:  ## remove what was made, the runs of the demo included; the virtual environment stays
	rm -rf demo test-artifacts dist build .pytest_cache .mypy_cache .ruff_cache
