# `make train` and `make test` do all the set-up they need. A second run
# installs nothing: the stamp is newer than the requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA_FLAG := $(if $(DATA),--data $(DATA))
TORCH_FLAG := $(if $(TORCH),--torch $(TORCH))

.PHONY: setup train test test-all lint format smoke benchmark protocol check clean

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

# Train and score on the built-in data, in a folder of its own; export in every
# format, load each file without this package and compare; predict a folder.
smoke: setup
	rm -rf runs/smoke
	$(BIN)/python train.py --target sketch --epochs 1 --output runs/smoke
	$(BIN)/python evaluate.py runs/smoke
	$(BIN)/python -m tests.smoke runs/smoke
	$(BIN)/python -m dmg_tf.data.shapes --root runs/smoke/images
	$(BIN)/python -m dmg_tf.predict runs/smoke/saved_model runs/smoke/images/*/sketch --csv runs/smoke/predictions.csv
	$(BIN)/python -m dmg_tf.data.check runs/smoke/images/* --fast

# The tables of docs/benchmarks.md. PACS is read from DATA where it is given;
# TORCH is a Python that has PyTorch and torchvision, to compare with.
benchmark: setup
	$(BIN)/python -m benchmarks.train_step $(TORCH_FLAG)
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.input $(DATA_FLAG) $(TORCH_FLAG)
	$(BIN)/python -m benchmarks.startup $(DATA_FLAG)
	$(BIN)/python -m benchmarks.memory $(TORCH_FLAG)

# All methods on all four targets of the built-in data, tables and figures.
protocol: setup
	$(BIN)/python tuning/leave_one_out.py --methods aggregate aggregate-sgd multi_headed metareg dmg --epochs 3 --image-size 32 --cache disk --output runs/protocol
	$(BIN)/python tuning/paper.py runs/protocol

check: lint test smoke

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
