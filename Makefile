# Everything a user or a developer does with this project. `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# `make train model=abpn scale=2` passes its assignments on, as the program would read them.
GIVEN := $(filter-out PYTHON=% VENV=%,$(MAKEOVERRIDES))
ARGS := $(or $(GIVEN),model=xlsr loss=charbonnier)

.DEFAULT_GOAL := help
.PHONY: help install train test slow check docs format lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

install: $(VENV)/.installed ## Make the virtual environment and install the project with its locked versions

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@

train: install ## Train XLSR on photos at hand; key=value words pass on: make train model=abpn scale=2
	$(BIN)/python -m sr_experiments $(ARGS)

test: install ## The tests; about fifteen minutes
	$(BIN)/python -m pytest -q

slow: install ## The tests that take longer
	$(BIN)/python -m pytest -q -m slow

check: install ## Formatting, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install ## The pages, as site/index.html; a broken link is an error
	$(BIN)/python -m mkdocs build --quiet --strict

format: install ## Format and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install ## Write the installed versions, all extras' too, to requirements.lock, without addresses
	$(BIN)/python -m pip install --quiet --editable '.[dev,mlflow,sweep]'
	$(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' > requirements.lock

clean: ## Remove the environment and caches, never outputs/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
