# Everything a newcomer types. Needs Python 3.11+ and make; Node and PostgreSQL come from Python packages where missing.
#   make demo    set up, make a sample business and serve it at http://127.0.0.1:8000
#   make help    the rest

.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
TESTS ?=
# Whatever has a long form or counts towards docs/torture.md.
COUNTED = $(shell grep -rl '^from tests.torture import' --include='test_*.py' tests plugins verticals | sort)
PORT ?= 8000

# The workspace is what is on disk: the root, and every plugin and vertical with a pyproject.toml.
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml verticals/*/pyproject.toml))
PACKAGES := $(wildcard plugins/*/rapport_* verticals/*/rapport_*)
empty :=
MYPY_PATH := core:cli$(subst $(empty) ,,$(patsubst %,:%,$(MEMBERS)))

NODE_IS_HERE = command -v npm >/dev/null 2>&1 && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null

.PHONY: help setup assets demo serve test torture bench check format lock clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r verb what; do printf '%-16s %s\n' "$$verb" "$$what"; done

setup: $(DONE)/members ## make the isolated environment (.venv) with everything in it
	@:

assets: $(DONE)/members ## build scripts, styles, fonts and icons for the browser
	@$(NODE_IS_HERE) || $(MAKE) --silent $(DONE)/node
	@$(BIN)/python tools/build_assets.py

demo: setup assets ## make a sample business in ./demo and serve it at http://127.0.0.1:8000
	@$(BIN)/rapport demo --port $(PORT)

serve: setup assets ## serve the site in ./site (or RAPPORT_HOME), after: rapport init
	@$(BIN)/rapport serve --port $(PORT)

test: setup assets ## run the tests; TESTS=tests/query picks some
	$(BIN)/pytest -n auto --dist worksteal $(TESTS)

torture: setup assets ## every harness that counts at length (a night); then docs/torture.md says what was tried
	rm -f artefacts/torture.jsonl
	RAPPORT_TORTURE=1 $(BIN)/pytest -n auto --dist worksteal -o timeout=7200 -o faulthandler_timeout=44000 $(COUNTED); done=$$?; \
	$(BIN)/python tools/torture_doc.py artefacts/torture.jsonl && exit $$done

bench: setup assets ## measure: 100,000 and 1,000,000 customers, both databases (hours); BENCH="--customers 5000" picks
	$(BIN)/python benchmarks/run.py $(if $(BENCH),$(BENCH),--customers 100000,1000000 --databases sqlite,postgresql)

check: setup ## style, types, layers and words
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	MYPYPATH=$(MYPY_PATH) $(BIN)/mypy core/rapport cli/rapport_cli tools docs $(PACKAGES)
	$(BIN)/pytest -q tests/architecture

format: setup ## put the code into the style that check asks for
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: setup ## write requirements.lock anew; UPGRADE=1 moves to the newest versions
	$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove the environment, caches and everything built (sites and their data stay)
	rm -rf $(VENV) dist build artefacts .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf core/rapport/builtin/web/static core/rapport/builtin/web/assets/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DONE)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "There is no $(PYTHON) here. Install Python 3.11 or later, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version 2>&1) is too old: Rapport needs Python 3.11 or later. Name a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make an isolated environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making the isolated environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/uv: | $(DONE)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<1' || { echo "uv could not be installed. Is the package registry reachable? Then run make again."; exit 1; }
	@touch $@

$(DONE)/requirements: requirements.lock | $(DONE)/uv
	@echo "Installing what Rapport needs, in the versions of requirements.lock"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@# Once, rather than at every start where nothing is cached (PYTHONDONTWRITEBYTECODE, read-only installations).
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@

$(DONE)/node: requirements-node.lock | $(DONE)/uv
	@echo "No Node 18+ on this machine: installing the Python package that brings it"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-node.lock
	@touch $@

$(DONE)/members: pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS)) $(DONE)/requirements
	@echo "Installing Rapport$(if $(MEMBERS), with $(notdir $(MEMBERS)))"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . $(addprefix -e ,$(MEMBERS))
	@$(BIN)/python -m compileall -q -j 0 core/rapport cli/rapport_cli $(PACKAGES) >/dev/null || true
	@touch $@
