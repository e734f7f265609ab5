# `make` or `make help` lists the targets. PYTHON chooses the interpreter: make demo PYTHON=python3.12

PYTHON  ?= python3
VENV    ?= .venv
TESTENV ?= .venv-test
RUNDIR  := build/test-run
SOUND   := $(firstword $(wildcard examples/*.flac examples/*.ogg))
# The report's page is tested in Chromium where there is one (Debian: chromium, chromium-driver).
BROWSER ?= $(if $(and $(shell command -v chromium),$(shell command -v chromedriver)),needed,missing)
PIP     := -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo venv test lint clean

help: ## list the targets
	@echo "ravecodec: a neural audio codec"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## encode and decode the sound in examples/, print its figures; results in build/demo
	$(VENV)/bin/python -m eval.demo $(SOUND) build/demo

venv: $(VENV)/.dev ## the environment for development in .venv: the checkout itself, with all tools
	@echo "activate it with: source $(VENV)/bin/activate"

test: headers ## what CI runs: a fresh environment, the wheel installed in it, lint, types, all tests
	rm -rf $(TESTENV) $(RUNDIR) build/dist
	mkdir -p $(RUNDIR)
	$(PYTHON) -m venv $(TESTENV)
	$(TESTENV)/bin/python $(PIP) torch build
	$(TESTENV)/bin/python -m build --outdir build/dist . > build/build.log 2>&1 || { cat build/build.log; exit 1; }
	$(TESTENV)/bin/python $(PIP) "$$(echo build/dist/*.whl)[dev]"
	$(TESTENV)/bin/ruff check .
	$(TESTENV)/bin/mypy
	@# Run elsewhere, so that Python finds the installed packages and not those of the checkout;
	@# tests/conftest.py makes sure of it.
	cd $(RUNDIR) && RAVECODEC_TEST_INSTALLED="$(abspath $(TESTENV))" \
	  "$(abspath $(TESTENV))/bin/pytest" -q -c "$(CURDIR)/pyproject.toml" \
	  $(if $(filter missing,$(BROWSER)),-m "not browser") "$(CURDIR)/tests"
	@$(if $(filter missing,$(BROWSER)),echo "The report's page was not tested in a browser: chromium and chromium-driver are missing.",true)

lint: $(VENV)/.dev ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean: ## remove environments, builds and caches
	rm -rf $(VENV) $(TESTENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and pinned: what follows then takes the one that is there.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) torch
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(VENV)/bin/python $(PIP) --editable ".[plot]"
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml | headers
	$(VENV)/bin/python $(PIP) --editable ".[dev]"
	@touch $@

# pesq, one of the measures, is compiled when it is installed.
.PHONY: headers
headers:
	@$(PYTHON) -c 'import os, shutil, sys, sysconfig as s; \
	sys.exit(not (os.path.exists(s.get_path("include") + "/Python.h") and (shutil.which("cc") or shutil.which("gcc"))))' \
	|| { echo "A C compiler and the headers of Python are needed: apt-get install gcc python3-dev" >&2; exit 1; }
