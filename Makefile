PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# What each of the tools of infra/ needs shuts out what the platform needs.
TOOLS := .venv-glue/installed .venv-checkov/installed .venv-aws/installed

.PHONY: demo web test slow coverage setup tools lint dev bench lock app-bundle glue-bundle lambda-bundle athena-queries local-aws

demo: setup  ## From an empty folder to reports over a star schema
	$(BIN)/retail demo

test: setup tools  ## All tests; starts a MariaDB and a PostgreSQL of its own
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

slow: setup tools  ## What takes minutes and shows little more
	$(BIN)/python -m pytest -m slow

coverage: setup tools  ## The same, with what no test reaches
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

tools: $(TOOLS)  ## What the tests of infra/ and of the Glue job run, each in a .venv of its own

setup: .venv/installed  ## .venv with every extra, from the hashed lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# What Glue 5.1 has, for the tests that run the bundle.
GLUE_LIBRARIES := retail_platform_tests/glue/requirements.lock

.venv-glue/installed: $(GLUE_LIBRARIES)
	$(PYTHON) -m venv .venv-glue
	.venv-glue/bin/python -m pip install --quiet --no-deps --require-hashes -r $(GLUE_LIBRARIES)
	@touch $@

.venv-checkov/installed: retail_platform_tests/infra/checkov.lock
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes -r $<
	@touch $@

# MiniStack runs the Lambda on its own Python; where there is no 3.13, what needs it is skipped.
PYTHON313 ?= $(shell command -v $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) python3.13 | head -1)

.venv-aws/installed: retail_platform_tests/infra/ministack.lock
	@mkdir -p .venv-aws
	@if [ -n "$(PYTHON313)" ]; then $(PYTHON313) -m venv .venv-aws \
		&& .venv-aws/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes -r $<; \
		else echo "no Python 3.13: there will be no stand-in of AWS" >&2; fi
	@touch $@

local-aws: setup .venv-aws/installed  ## infra/ on a stand-in of AWS: applied, used, destroyed
	$(BIN)/python -m retail_platform_tests.infra.local_aws

app-bundle: setup  ## What AWS's machines run, in dist/app
	$(BIN)/python -m retail_platform.app_bundle dist/app

glue-bundle: setup  ## What AWS Glue runs, in dist/glue
	$(BIN)/python -m retail_platform.glue.bundle dist/glue

athena-queries: setup  ## The questions that Athena keeps by name, in dist/athena
	$(BIN)/python -m retail_platform.serving.named_queries dist/athena

lambda-bundle: setup  ## What AWS Lambda runs, in dist/lambda
	$(BIN)/python -m retail_platform.streaming.bundle dist/lambda

lint: setup  ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

web: setup  ## The dashboard and the storefront on http://127.0.0.1:8000
	$(BIN)/retail web

dev: setup  ## The Dagster UI on http://127.0.0.1:3000
	$(BIN)/retail dev

bench: setup .venv-glue/installed  ## Speed and size, each beside a bare reference
	$(BIN)/python -m retail_platform_tests.benchmarks

lock:  ## Resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --all-extras \
		--no-annotate --no-header pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-annotate \
		--no-header retail_platform_tests/glue/requirements.in --output-file $(GLUE_LIBRARIES)
	for tool in checkov ministack; do uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
		--no-annotate --no-header retail_platform_tests/infra/$$tool.in --output-file retail_platform_tests/infra/$$tool.lock; done
