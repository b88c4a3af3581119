# Everything starts here. Needed: Python 3.10 or newer with venv, and make. `make test` and `make demo` make .venv and
# install what they need into it; nothing outside this folder is changed. Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
OLDEST_TORCH := 2.8.0
# A folder's import of its own name is not a test of the wheel: the wheel's tests run in a folder of their own.
WHEEL_VENV := $(CURDIR)/.venv-wheel
PIP_FLAGS := --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test test-slow gpu-interpret gpu-compile gpu-test gpu-bench accuracy lint format types imports bench perf-guard docs wheel test-wheel check test-oldest clean

help:
	@echo "make demo         train on handwritten digits with torch's losses and with crossent's, and compare"
	@echo "make test         the fast tests"
	@echo "make check        what CI runs: lint, types, import rules, installed wheel, tests"
	@echo "make setup        .venv with everything for development"
	@echo "make lint types imports docs bench perf-guard wheel test-slow test-oldest format clean"

# ---------------------------------------------------------------------------------------------------------------- setup

setup: $(VENV)/.installed-dev

# One stamp per extra; pip runs again when what is installed may have changed.
$(VENV)/.installed-%: pyproject.toml constraints.txt src/crossent/_version.py | $(PY)
	@echo "installing crossent[$*] into $(VENV)"
	@$(PY) -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[$*]'
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "crossent needs Python 3.10 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
	  echo "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment (Debian and Ubuntu: install python3-venv)"; exit 1; }

# ------------------------------------------------------------------------------------------------------------------ use

demo: $(VENV)/.installed-demo
	$(VENV)/bin/crossent demo

bench: $(VENV)/.installed-bench
	$(VENV)/bin/crossent bench $(ARGS)

# Instructions of every CPU kernel against benchmarks/callgrind.json; ARGS=--accept writes it.
perf-guard: $(VENV)/.installed-dev
	$(PY) benchmarks/guard.py $(ARGS)

# --------------------------------------------------------------------------------------------------------------- checks

test: $(VENV)/.installed-dev
	$(PY) -m pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/.installed-dev  # pytest's 5 means: no test is marked slow
	$(PY) -m pytest -m slow --timeout 1800 $(ARGS) || test $$? -eq 5

# The GPU engine without a GPU: every conformance case under Triton's interpreter (CPU tensors, small tiles), and every
# kernel compiled for sm_80, sm_90, sm_100 and gfx942, where a spill fails. Another Triton: TRITON=3.4.0
TRITON ?=
gpu-interpret: $(VENV)/.installed-dev
	@test -z "$(TRITON)" || $(PY) -m pip install $(PIP_FLAGS) triton==$(TRITON)
	TRITON_INTERPRET=1 $(PY) -m pytest -m "not slow" -k gpu tests/backends/test_conformance.py tests/backends/test_protocol.py $(ARGS)

gpu-compile: $(VENV)/.installed-dev
	$(PY) benchmarks/gpu_compile.py $(ARGS)

# On a machine with a CUDA device. No environment is made for it: torch with CUDA is yours. What passed is kept in
# .gpu-test/ and not run again; status 3 means that tests are left after MINUTES, so the same command goes on.
GPU_PYTHON ?= $(PYTHON)
MINUTES ?= 7
gpu-test:
	@PYTHONPATH=src CROSSENT_GPU_STATE=.gpu-test/passed.jsonl CROSSENT_GPU_MINUTES=$(MINUTES) $(GPU_PYTHON) -m pytest tests/gpu \
	  -q -p no:cacheprovider $$($(GPU_PYTHON) -c 'import xdist; print("-n 8")' 2>/dev/null) $(ARGS)

# Into GPU_OUT, case by case; status 3 means that cases are left after MINUTES. Afterwards:
# crossent bench --check .gpu-bench/result.json
GPU_OUT ?= .gpu-bench
gpu-bench:
	@PYTHONPATH=src $(GPU_PYTHON) -m crossent bench --device cuda --out $(GPU_OUT) --minutes $(MINUTES) $(ARGS)

accuracy: $(VENV)/.installed-dev  # error against float64 beside torch's own, over 10,000 random cases: half an hour
	CROSSENT_ACCURACY_CASES=10000 $(PY) -m pytest -m slow -s --timeout 7200 tests/test_accuracy.py $(ARGS)

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(VENV)/.installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(VENV)/.installed-dev
	$(PY) -m pyright --pythonpath $(PY)

imports: $(VENV)/.installed-dev
	$(VENV)/bin/lint-imports --no-cache

docs: $(VENV)/.installed-docs  # every example in the docs runs
	$(PY) -m pytest tests/test_docs.py $(ARGS)

# The sdist first and the wheel from it, so that what the sdist lacks is found here.
wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(PY) -m build --no-isolation --outdir dist . >/dev/null
	@ls dist

# The wheel in an environment of its own, which sees the packages of .venv but not its editable crossent: site runs no
# .pth file of a folder that is itself named in a .pth file.
test-wheel: wheel
	rm -rf $(WHEEL_VENV)
	$(PY) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-index dist/*.whl
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(WHEEL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dependencies.pth"
	cd $(WHEEL_VENV) && bin/crossent env && bin/python -m crossent --help >/dev/null
	cd $(WHEEL_VENV) && bin/python $(CURDIR)/tests/smoke_wheel.py

# The tests, which include the docs' examples, come last: their closing line is the end of the report.
check: lint types imports test-wheel
	@$(MAKE) --no-print-directory test

# The oldest torch we support. On Linux x86-64 its wheel is a CUDA build (7 GB on disk with what it needs), and there is none
# for Python 3.14. An index with a smaller build, if you have one, goes into PIP_EXTRA_INDEX_URL.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -m "not slow" $(ARGS)

.venv-oldest/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -m venv .venv-oldest
	@sed 's/^torch==.*/torch==$(OLDEST_TORCH)/' constraints.txt > .venv-oldest/constraints.txt
	@echo "installing crossent[dev] with torch $(OLDEST_TORCH) into .venv-oldest"
	@.venv-oldest/bin/python -m pip install $(PIP_FLAGS) -c .venv-oldest/constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-* dist build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
