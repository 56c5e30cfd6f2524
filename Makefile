# `make demo` and `make test` each work as the first command in a fresh clone.
#
#   make PYTHON=python3.12 test     another interpreter
#   make PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" test
#                                   the smaller CPU build of torch on Linux
#   make PYTEST_FLAGS="-m slow" test

PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Small networks train slower, not faster, when threads share few cores.
export OMP_NUM_THREADS ?= 1

.DELETE_ON_ERROR:
.PHONY: help demo test check clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install into $(VENV) if needed, then run examples/quickstart.py"
	@echo "make test    install into $(VENV) if needed, then run the tests and doctests, on all cores"
	@echo "make check   install into $(VENV) if needed, then run ruff and mypy"
	@echo "make clean   remove caches and build products; $(VENV) stays"

demo: $(STAMP)
	$(BIN)/python examples/quickstart.py

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_FLAGS)

check: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# The stamp is written last, so a failed install is tried again the next time.
$(STAMP): pyproject.toml constraints.txt
	@rm -f $@
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"vqssl needs Python 3.11 or later; got %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[test,dev,examples]"
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
