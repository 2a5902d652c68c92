# make train            installs, trains on the embedded corpus, prints BLEU, draws attention
# make train MODEL=rnn  the same with the other model; ARGS='key=value ...' overrides anything
# make test             installs, runs every test
# make check            format, lint and types
PYTHON ?= python3
MODEL ?= transformer
ARGS ?=
BIN := .venv/bin

.PHONY: train test check format clean

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
