# The few verbs of this project. All of them work in an environment of their own, .venv, which setup makes from hashed
# pins the first time it is needed and again when the pins change.

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
CODE := backplane coordinator provider tests requirements

#: What the demo and the benchmarks are asked for, as in `make demo ARGS='--providers 5 --for 10s'`.
ARGS ?=
#: More options for pytest.
AGAIN ?=
#: What the properties' examples are drawn from. `make test SEED=random` tries others.
SEED ?= 1
#: Tests at a time: on real processes they wait more than they compute, also on two cores.
BESIDE ?= 3

.PHONY: help setup demo test check bench chaos wheel clean pytest portable
.PHONY: reference lint format types layers oldest spelling project payload

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything that developers need (once)
	@sh requirements/environment.sh dev

demo: ## twenty providers on this machine, live logs, one running answer
	@sh requirements/environment.sh run
	@$(BIN)/logreduce demo $(ARGS)

test: setup ## everything: check, tests with Linux-only calls hidden, all tests
	@sh tests/run.sh

check: lint format types layers oldest spelling project payload ## linters, types, layers, and the payload's size

bench: setup ## the benchmarks, each a median of pairs with its spread (ARGS=--quick tries them)
	@for each in tests/bench/bench_*.py; do \
	    [ -e "$$each" ] || { echo "no benchmark in tests/bench"; exit 1; }; \
	    $(PYTHON) -m "tests.bench.$$(basename "$$each" .py)" $(ARGS) || exit; \
	done

chaos: setup ## 2,000 faults on small worlds, and every planted mutant (ARGS='--faults N --seed S')
	@$(PYTHON) -m tests.chaos $(ARGS)

wheel: setup ## build the wheel into dist/
	@$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove what make has made, .venv included
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of `check`, each of which can be asked for alone; `make -k check` goes on after one that failed.

lint: setup
	@$(BIN)/ruff check --quiet . && echo "ruff: clean"

format: setup
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; exit 1; }
	@echo "ruff format: clean"

types: setup
	@$(BIN)/mypy $(CODE)

layers: setup
	@$(BIN)/lint-imports --no-logo

oldest: setup
	@$(BIN)/vermin --target=3.6- --no-tips --quiet provider/runner && echo "vermin: the runner runs on Python 3.6"

spelling: setup
	@$(BIN)/codespell && echo "codespell: clean"

project: setup
	@$(BIN)/validate-pyproject pyproject.toml

payload: setup
	@$(PYTHON) -m provider.ship

pytest: setup
	@$(PYTHON) -m pytest -q -rs -n $(BESIDE) --dist worksteal --durations=25 --hypothesis-seed=$(SEED) --continue-on-collection-errors $(AGAIN)

reference: setup ## write what is made of the parsers: docs/reference/cli.md, the manual page, completion's words
	@$(PYTHON) -m tests.docs.cli_reference

portable: setup
	@nice $(PYTHON) -m pytest -q -o cache_dir=.pytest_cache/portable --hide-linux --hypothesis-seed=$(SEED) --continue-on-collection-errors $(AGAIN) tests/unit tests/property tests/integration
