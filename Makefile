# `make train` and `make test` do all the set-up they need, into one folder: users
# get what running takes, developers all extras and tools. A second run installs
# nothing: a stamp is newer than what it was made of. Without make (Windows):
#   python -m venv .venv
#   .venv\Scripts\pip install -r requirements.txt
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DATA_FLAG := $(if $(DATA),--data $(DATA))
TORCH_FLAG := $(if $(TORCH),--torch $(TORCH))

.PHONY: setup setup-dev train test test-all campaign lint format smoke wheel-smoke benchmark protocol evidence reproduce-pacs reproduce-domainnet check clean

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

# TensorFlow below 2.22 has no wheels for Python 3.14.
define make-venv
@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit(f"error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}; try make PYTHON=python3.12")'
$(PYTHON) -m venv $(VENV)
endef

$(VENV)/.installed: pyproject.toml requirements.txt
	$(make-venv)
	@echo "Installing into $(VENV): 2.5 GB on disk, some minutes the first time"
	$(PIP) install --quiet -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements-dev.txt
	$(make-venv)
	@echo "Installing into $(VENV): 2.9 GB on disk, some minutes the first time"
	$(PIP) install --quiet -r requirements-dev.txt
	@touch $(VENV)/.installed $@

train: setup
	$(BIN)/python train.py --target sketch --backbone resnet18 $(ARGS)

test: setup-dev
	$(BIN)/python -m pytest $(ARGS)

test-all: test

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Train and score on the built-in data, in a folder of its own; export in every
# format, load each file without this package and compare; predict a folder.
smoke: setup-dev
	rm -rf runs/smoke
	$(BIN)/python train.py --target sketch --epochs 1 --output runs/smoke
	$(BIN)/python evaluate.py runs/smoke
	$(BIN)/python -m tests.smoke runs/smoke
	$(BIN)/python -m dmg_tf.data.shapes --root runs/smoke/images
	$(BIN)/python -m dmg_tf.predict runs/smoke/saved_model runs/smoke/images/*/sketch --csv runs/smoke/predictions.csv
	$(BIN)/python -m dmg_tf.data.check runs/smoke/images/* --fast

# Kills what runs and goes on with it; damages images, run folders and weights;
# hostile names, two at once, the demo under load. Counts, and a line for each
# failure. Longer: ARGS="--kills 1000".
campaign: setup-dev
	$(BIN)/python -m tests.campaign $(ARGS)

# Builds the wheel, installs it into an empty environment, and trains and predicts
# there, in another folder.
wheel-smoke: setup-dev
	$(BIN)/python tests/wheel_smoke.py

# The tables of docs/benchmarks.md. PACS is read from DATA where it is given;
# TORCH is a Python that has PyTorch and torchvision, to compare with.
benchmark: setup-dev
	$(BIN)/python -m benchmarks.train_step $(TORCH_FLAG)
	$(BIN)/python -m benchmarks.operations --image-size 64 --batch-size 63
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.input $(DATA_FLAG) $(TORCH_FLAG)
	$(BIN)/python -m benchmarks.startup $(DATA_FLAG)
	$(BIN)/python -m benchmarks.memory $(TORCH_FLAG)
	$(BIN)/python -m benchmarks.methods

# All methods on all four targets of the built-in data, tables and figures: 92 runs;
# docs/protocol.md says how long they took.
protocol: setup
	$(BIN)/python tuning/leave_one_out.py --methods all --backbones conv4 --image-size 32 --epochs 5 --cache disk --jobs 2 --output runs/protocol
	$(BIN)/python tuning/paper.py runs/protocol

# Does it work: runs what docs/evidence lacks, in idle time, and makes its page. A few
# runs: ARGS="--only frozen --at-most 4"; what is left, and its cost: ARGS=--plan.
evidence: setup
	$(BIN)/python tuning/evidence.py $(DATA_FLAG) $(ARGS)

# The paper's Tables 2 and 6, and 1, 3, 4 and 5, in full: for machines with GPUs. What
# that is, its cost and what is missing: ARGS=--plan.
reproduce-pacs: setup
	$(BIN)/python tuning/reproduce.py pacs $(DATA_FLAG) $(ARGS)

reproduce-domainnet: setup
	$(BIN)/python tuning/reproduce.py domainnet $(DATA_FLAG) $(ARGS)

check: lint test smoke wheel-smoke

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache
