# `make demo` and `make test` each work as the first command in a fresh clone.
#
#   make PYTHON=python3.12 test     another interpreter
#   make PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" test
#                                   the smaller CPU build of torch on Linux
#   make PYTEST_FLAGS="-m slow" test
#   make DOCS_FLAGS="-D plot_gallery=0" docs
#                                   the site without running the scripts of its gallery
#   make LOCKED=1 test              only files whose digests requirements-ci.txt lists

PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=
DOCS_FLAGS ?=
LOCKED ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
SITE := docs/_build/html

# Small networks train slower, not faster, when threads share few cores.
export OMP_NUM_THREADS ?= 1

.DELETE_ON_ERROR:
.PHONY: help demo test nightly check docs lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install into $(VENV) if needed, then run examples/quickstart.py"
	@echo "make test    install into $(VENV) if needed, then run the tests and doctests, on all cores"
	@echo "make nightly install into $(VENV) if needed, then try every property 200 times, and what is slow"
	@echo "make check   install into $(VENV) if needed, then run ruff and mypy"
	@echo "make docs    install into $(VENV) if needed, then build the site in $(SITE)"
	@echo "make lock    write requirements-ci.txt anew, from constraints.txt; needs uv"
	@echo "make clean   remove caches and build products; $(VENV) stays"

demo: $(STAMP)
	$(BIN)/python examples/quickstart.py

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_FLAGS)

nightly: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "nightly or slow" $(PYTEST_FLAGS)

check: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# Warnings are errors. The gallery runs every script of examples/, which takes a while.
docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx -W --keep-going -b html $(DOCS_FLAGS) docs $(SITE)
	$(BIN)/python docs/check_links.py $(SITE)

# The stamp is written last, so a failed install is tried again the next time.
$(STAMP): pyproject.toml constraints.txt requirements-ci.txt
	@rm -f $@
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"vqssl needs Python 3.11 or later; got %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements-ci.txt
	$(BIN)/python -m pip install --no-index --no-deps --no-build-isolation -e .
else
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[test,dev,examples]"
endif
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[docs,examples]"
	@touch $@

# For every platform: torch brings other packages on Linux than elsewhere. What an editable install
# of the package itself needs comes from the same list.
lock:
	printf 'hatchling\neditables\n' | uv pip compile --quiet pyproject.toml - --extra test --extra dev \
		--extra examples --constraints constraints.txt --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" \
		--output-file requirements-ci.txt

clean:
	rm -rf docs/_build docs/gallery docs/reference/generated docs/sg_execution_times.rst
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
