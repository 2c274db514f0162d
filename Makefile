# `make train` and `make test` do all the set-up they need. A second run
# installs nothing: the stamp is newer than the requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup train test test-all lint format smoke check clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt requirements-dev.txt requirements-extra.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; try make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

train: setup
	$(BIN)/python train.py --target sketch --backbone resnet18 $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

test-all: test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Train, score and export on the built-in data, in a folder of its own.
smoke: setup
	rm -rf runs/smoke
	$(BIN)/python train.py --target sketch --epochs 1 --output runs/smoke
	$(BIN)/python evaluate.py runs/smoke
	$(BIN)/python -m dmg_tf.export runs/smoke runs/smoke/saved_model

check: lint test smoke

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
