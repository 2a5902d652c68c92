# make train            install, train on the embedded corpus (about 7 minutes), print the scores
# make train MODEL=rnn  the same with the other model; ARGS='key=value ...' overrides any setting
# make test             install, run every test
# make check            check format, lint and types
# make format           format the code and fix what the linter can
# make clean            remove the installation and all caches
PYTHON ?= python3
MODEL ?= transformer
ARGS ?=
BIN := .venv/bin

.PHONY: help train test check format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make \)/\1/p' $(firstword $(MAKEFILE_LIST))

train: .venv/installed
	$(BIN)/python scripts/train.py experiment=demo_$(MODEL) $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info
