# Everything a newcomer needs: `make demo` and `make test`, with Python >= 3.11, git and make.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
TORCHFORCE_VENV := .venv-torchforce
BENCH_VENV := .venv-bench
# What to hand to benchmarks/speed.py, such as: make bench BENCH="--only ef md"
BENCH ?=
# Which models `make fidelity` makes.
MODELS ?= benzene-1bead benzene-3bead
# -qq: pip's notes about the machine's own package sources are not ours; errors still show.
PIP_INSTALL = -m pip install -qq --disable-pip-version-check
# One thread per test process: the machine's cores are shared by JOBS processes.
PYTEST = OMP_NUM_THREADS=1 OPENMM_CPU_THREADS=1 MPLBACKEND=Agg $(1)/bin/python -m pytest -n $(JOBS) --durations=10

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-torchforce lint format types contracts check fidelity bench bench-atomistic docs wheel clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 18

$(VENV)/.run: pyproject.toml constraints/modern.txt
	@echo "installing openmm-cgml and its dependencies into $(VENV) (a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) -c constraints/modern.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/python $(PIP_INSTALL) -c constraints/modern.txt -e ".[test,pcff]"
	@touch $@

$(TORCHFORCE_VENV)/.test: pyproject.toml constraints/torchforce.txt
	@echo "installing the torchforce version set into $(TORCHFORCE_VENV) (several GB) ..."
	@test -x $(TORCHFORCE_VENV)/bin/python || $(PYTHON) -m venv $(TORCHFORCE_VENV)
	@$(TORCHFORCE_VENV)/bin/python $(PIP_INSTALL) -c constraints/torchforce.txt -e ".[test,torchforce]"
	@touch $@

$(BENCH_VENV)/.bench: pyproject.toml constraints/torchforce.txt constraints/bench.txt
	@echo "installing the torchforce version set and SchNetPack into $(BENCH_VENV) (several GB) ..."
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) -c constraints/torchforce.txt -e ".[torchforce]"
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) --no-deps -r constraints/bench.txt
	@touch $@

demo: $(VENV)/.run  ## simulate liquid benzene with a shipped model, compare with the atomistic reference: demo/report.html
	@$(BIN)/python examples/demo.py --output demo

test: $(VENV)/.test  ## run the tests
	@$(call PYTEST,$(VENV)) -m "not benchmark"

test-fast: $(VENV)/.test  ## run the tests that take less than a second each
	@$(call PYTEST,$(VENV)) -m "not slow and not benchmark"

test-torchforce: $(TORCHFORCE_VENV)/.test  ## run the tests that touch an ML backend with the torchforce version set
	@$(call PYTEST,$(TORCHFORCE_VENV)) -m "backend and not benchmark"

lint: $(VENV)/.test  ## check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/.test  ## apply the style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.test  ## check types
	@$(BIN)/mypy

contracts: $(VENV)/.test  ## check who imports whom
	@$(BIN)/lint-imports --no-cache

check: lint types contracts  ## lint, types and import contracts

fidelity: $(VENV)/.test  ## make models again by their recipes and publish them: MODELS="pim-1" (hours)
	@$(BIN)/python -m openmm_cgml.selection $(MODELS) --publish .

bench-atomistic: $(VENV)/.test  ## speed of the models over atomistic runs: REFERENCES="benzene=FOLDER polyethylene=FOLDER"
	@$(BIN)/python benchmarks/speed_atomistic.py $(foreach r,$(REFERENCES),--reference $(r))

bench: $(BENCH_VENV)/.bench  ## measure speed beside TorchMD-Net and SchNetPack: benchmarks/results/speed-cpu.json, docs/speed.md
	@$(BENCH_VENV)/bin/python benchmarks/speed.py $(BENCH) && $(BENCH_VENV)/bin/python docs/write_speed_page.py

docs: $(VENV)/.run  ## build the documentation into site/
	@$(BIN)/python $(PIP_INSTALL) -c constraints/modern.txt -e ".[docs]"
	@$(BIN)/mkdocs build --strict

wheel: $(VENV)/.run  ## build a wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## delete what was built; keeps the virtual environments
	@rm -rf build dist site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
