# The verbs of this project; each makes the virtual environment that it needs.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: help demo test coverage lint format docs schema revision walkthrough freeze package
.PHONY: bench bench-quick torture pictures

help: ## shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# pip reads the constraints for the build as well as for the packages.
.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Never the database that the caller's environment may name.
demo: export VISITPAY_DATABASE_URL := sqlite:///$(DEMO)/visitpay.db
demo: .venv/done ## loads a sample feed of three days into demo/, and shows the result
	rm -rf $(DEMO) && mkdir $(DEMO)
	$(BIN)/visitpay sample $(DEMO)/landing --visits 1000 --days 3 --dirt 1 --seed 7
	$(BIN)/alembic upgrade head
	$(BIN)/visitpay load $(DEMO)/landing --max-rejects 5% || [ $$? -eq 1 ] # one name is wrong
	$(BIN)/visitpay status $(DEMO)/landing
	$(BIN)/visitpay rejects list --entity Visit --limit 3 --raw
	$(BIN)/visitpay report $(DEMO)/landing --output $(DEMO)/report.html

# In memory where there is room: SQLite waits for the disk at every commit.
MEMORY := $(shell [ "$$(df --output=avail /dev/shm | tail -1)" -gt 4000000 ] && echo /dev/shm)
test coverage: export TMPDIR := $(or $(MEMORY),$(TMPDIR),/tmp)
PYTEST = $(BIN)/pytest -n 2 --dist worksteal

test: .venv/done ## runs the tests; ARGS='-k landing' for a part
	$(PYTEST) $(ARGS)

# Tracing doubles the time of the tests, and those of robustness reach no line of their own.
coverage: .venv/done ## runs all tests but tests/robustness, and says which lines they did not reach
	$(PYTEST) --cov --cov-report=term --ignore=tests/robustness $(ARGS)

lint: .venv/done ## looks at code, types, imports, migrations and the Containerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python -m tools.lint_migrations
	$(BIN)/hadolint Containerfile

format: .venv/done ## formats the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: schema ## builds the pages in build/docs; a dead link fails
	$(BIN)/python -m sphinx -W --keep-going -n -q docs build/docs

schema: .venv/done ## writes the parts of docs/ that are made from the code
	$(BIN)/python -m tools.generate_docs

# Where a revision would lose data or stop a load, it says what to do instead.
revision: .venv/done ## writes a revision from the models: make revision M="visits know their physician"
	@$(BIN)/python -m tools.revise "$$M"

walkthrough: .venv/done ## adds columns to a copy of the checkout, and deploys them where data is
	$(BIN)/python -m tools.walkthrough

freeze: .venv/done ## writes a database as this code leaves it, for tests to come; before a release
	$(BIN)/python -m tests.database.freezing

package: .venv/done ## builds wheel and sdist in dist/, and tries both where nothing is installed
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist .
	cp constraints.txt dist
	$(BIN)/python -m tools.try_package dist

.venv/bench: .venv/done
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	touch $@

bench: .venv/bench ## writes docs/benchmarks.md in half an hour; ARGS='growth files' for parts
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: .venv/done ## compares with the nearest rivals, 100,000 rows, in less than a minute
	$(BIN)/python -m benchmarks --quick

torture: .venv/done ## kills, damages and guesses for fifteen minutes; writes docs/robustness.md
	$(BIN)/python -m tests.robustness.torture $(ARGS)

pictures: .venv/done ## writes the README's pictures; needs chromium
	$(BIN)/python -m tools.pictures
