# make run: the main job. make test: the tests. Both set themselves up, and are quick the second time.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help run test check clean
help:
	@echo "make run    set up, then train BCELoss against the Bernoulli NLL up a ladder of architectures"
	@echo "make test   set up, then run the tests"
	@echo "make test ARGS='-m rest'  the rest of the batteries, of which make test runs a sample (over five minutes)"
	@echo "make test ARGS='-m slow'  the rest and the long ones: whole processes, long properties, commands ended by force"
	@echo "make check  lint, format, types"
	@echo "make clean  remove the environment and caches"

$(STAMP): pyproject.toml
	@echo "setting up $(VENV) (once; a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(STAMP)
	@echo "training two equal objectives side by side, from one node to deep networks"
	@$(BIN)/python experiments/growth.py $(ARGS)

test: $(STAMP)
	@echo "running the tests"
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
