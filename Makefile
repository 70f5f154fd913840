.DEFAULT_GOAL := help
.PHONY: help demo test test-newest newest-python lint docs bench clean
SHELL := /bin/bash
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# Containers like to set it, and then every command that a test starts compiles rct anew.
unexport PYTHONDONTWRITEBYTECODE

# $(call first,VERSION,PYTHONS): the first of them that runs and is at least that version
first = $(shell for p in $(2); do $$p -c 'import sys; sys.exit(sys.hexversion < $(1))' 2>/dev/null && { echo $$p; break; }; done)
PYENV := $(shell ls -d $$HOME/.pyenv/versions/3.*/bin/python3 2>/dev/null | sort -Vr)
PYTHON ?= $(call first,0x030b0000,python3 python3.13 python3.12 python3.11 $(PYENV))
NEWEST ?= $(call first,0x030c0000,python3.14 python3.13 python3.12 $(PYENV))

TESTS ?= tests
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
PINS := pyproject.toml constraints.txt
# Tests and tools together, so that who runs both waits for one installation.
DEV := [lint,test]

# $(call environment,FOLDER,PYTHON,EXTRAS)
define environment
	@[ -n "$(2)" ] || { echo "No Python new enough was found. Install Python 3.11 or later."; exit 1; }
	@echo "Setting up $(1) with $$($(2) --version): rct$(3) and the pinned versions of what it needs (a few minutes the first time)."
	@$(2) -m venv $(1)
	@$(1)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.$(3)'
	@touch $@
endef

help: ## list what can be made
	@echo "make TARGET, where TARGET is one of:"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.venv/.ready: $(PINS)
	$(call environment,.venv,$(PYTHON),)
.venv/.ready-dev: $(PINS)
	$(call environment,.venv,$(PYTHON),$(DEV))
.venv/.ready-docs: $(PINS)
	$(call environment,.venv,$(PYTHON),[docs])
.venv-newest/.ready-test: $(PINS)
	$(call environment,.venv-newest,$(NEWEST),[test])

demo: .venv/.ready ## one simulated trial from declaration to report, which is written to demo/
	@echo "Running a simulated trial from its declaration to its report."
	@.venv/bin/rct demo

test: .venv/.ready-dev ## run the tests
	@echo "Running the tests with $$(.venv/bin/python --version) on two processes."
	@.venv/bin/python $(PYTEST) $(TESTS)

test-newest: .venv-newest/.ready-test ## run the tests with the newest Python there is, 3.12 or later
	@echo "Running the tests with $$(.venv-newest/bin/python --version) on two processes."
	@.venv-newest/bin/python $(PYTEST) $(TESTS)

newest-python:
	@echo $(NEWEST)

lint: .venv/.ready-dev ## check style, formatting, types and the order of imports
	@echo "Checking style."
	@.venv/bin/ruff check .
	@echo "Checking formatting."
	@.venv/bin/ruff format --check .
	@echo "Checking types."
	@.venv/bin/mypy
	@echo "Checking that imports go downward."
	@.venv/bin/lint-imports --no-logo

docs: .venv/.ready-docs ## build the documentation in docs/_build/html
	@echo "Building the documentation."
	@.venv/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: .venv/.ready-dev ## time rct beside its peers and print the ratios
	@for script in benchmarks/*.py; do echo "Running $$script."; .venv/bin/python $$script || exit 1; done

clean: ## remove environments, caches and everything that was built
	rm -rf .venv .venv-newest build dist demo docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
