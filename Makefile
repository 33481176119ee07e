# Everything needs Python >= 3.10 and make; the virtual environment is made on the way.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench world clean

demo: $(VENV)/demo            ## the main job: a built-in clip, edited by the built-in checkpoint
	$(BIN)/newtake demo --out runs/demo
	@echo "The edit lies in runs/demo: edit.mp4, compare.mp4 (source and edit side by side), sheet.png, run.json"

test: check                   ## lint, types, tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/dev            ## the figures in the README and the docs: some hours on two cores
	$(BIN)/python benchmarks/checkpoint.py --guidance 3
	$(BIN)/python benchmarks/editing.py --dtype bf16 --seeds 3 --best newtake --out .bench
	$(BIN)/python benchmarks/inversions.py --out .bench/inversions
	$(BIN)/python benchmarks/null_text.py
	$(BIN)/python benchmarks/dense_attention.py
	$(BIN)/python benchmarks/captions.py
	$(BIN)/newtake bench world --dtype bf16 --out .bench/world
	$(BIN)/python benchmarks/tuning.py --out .bench/tuning
	$(BIN)/python benchmarks/tuning.py --out .bench/tuning --memory
	$(BIN)/python benchmarks/learning.py --out .bench/learning
	$(BIN)/python benchmarks/guests.py --out .bench/guests
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/speed.py --save
	$(BIN)/python benchmarks/length.py --looks own,middle first,previous
	$(BIN)/python benchmarks/reuse.py
	$(BIN)/python benchmarks/background.py --out .bench/background
	$(BIN)/python benchmarks/cuts.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/ranks.py

world: $(VENV)/dev            ## trains the built-in checkpoint again, from nothing; killed, it goes on
	$(BIN)/python -m newtake.world.training

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .[dev]
	@touch $@ $(VENV)/demo
