# make demo and make test need git, make and Python >= 3.11, nothing else.
PYTHON ?= python3
BIN := .venv/bin
export UV_LINK_MODE ?= hardlink
# Without it every process that a test starts compiles torch's sources anew.
export PYTHONDONTWRITEBYTECODE =

# Every extra that works on a machine without an accelerator and that tests cannot do without.
EXTRAS := demo,hf,ray,ui
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

# A file's tests share what they make. In the order of names the files with long tests come first.
SPREAD := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all test-lowest battery check format docs clean

demo: .venv/demo-installed
	$(BIN)/seatrial demo --output demo-run

test: .venv/installed
	SEATRIAL_TEST_FILE_CPU_S=120 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest $(SPREAD) --durations=40

test-all: .venv/installed .venv-docs/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SPREAD) -m "slow or not slow"

# Thousands of attacks on what is promised, some 30 minutes; ARGS=--all takes hours and leaves nothing to chance.
battery: .venv/installed
	$(BIN)/python benchmarks/battery.py $(ARGS)

# The oldest versions that pyproject.toml allows. They warn of newer ones that they depend on.
test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest --override-ini filterwarnings=default $(SPREAD) tests/unit tests/contract

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs benchmarks README.md CONTRIBUTING.md CHANGELOG.md

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The manual as a site that opens from disk, in .site/html.
docs: .venv-docs/installed
	.venv-docs/bin/python docs/build_site.py

clean:
	rm -rf .venv .venv-lowest .venv-docs .site demo-run

.venv/made: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("seatrial needs Python >= 3.11; this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	touch $@

# What the demo needs and no more: a part of what the tests need.
.venv/demo-installed: pyproject.toml constraints.txt .venv/made
	$(INSTALL) --editable '.[demo]'
	touch $@

.venv/installed: pyproject.toml constraints.txt .venv/made
	$(INSTALL) --group dev --editable '.[$(EXTRAS)]'
	touch $@ .venv/demo-installed

.venv-lowest/installed: pyproject.toml .venv/installed
	$(BIN)/uv venv --quiet --clear --python 3.11 .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --group dev --editable '.[$(EXTRAS)]'
	touch $@

.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	.venv-docs/bin/uv pip install --quiet --python .venv-docs/bin/python --constraint constraints.txt --group docs
	touch $@
