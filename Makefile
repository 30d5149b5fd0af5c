# The verbs of this project; each makes the virtual environment that it needs.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: demo test torture pictures docs schema lint format bench bench-quick

# pip reads the constraints for the build as well as for the packages.
.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Never the database that the caller's environment may name.
demo: export VISITPAY_DATABASE_URL := sqlite:///$(DEMO)/visitpay.db
demo: .venv/done
	rm -rf $(DEMO) && mkdir $(DEMO)
	$(BIN)/visitpay sample $(DEMO)/landing --visits 1000 --days 3 --dirt 1 --seed 7
	$(BIN)/alembic upgrade head
	$(BIN)/visitpay load $(DEMO)/landing --max-rejects 5% || [ $$? -eq 1 ] # one name is wrong
	$(BIN)/visitpay status $(DEMO)/landing
	$(BIN)/visitpay rejects list --entity Visit --limit 3 --raw
	$(BIN)/visitpay report $(DEMO)/landing --output $(DEMO)/report.html

test: .venv/done
	$(BIN)/pytest -n 2 --cov --cov-report=term $(ARGS)

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: .venv/done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bench: .venv/done
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	touch $@

# Takes half an hour, and writes docs/benchmarks.md; ARGS='growth files' for parts of it.
bench: .venv/bench
	$(BIN)/python -m benchmarks $(ARGS)

# Takes ten minutes, and writes docs/robustness.md.
torture: .venv/done
	$(BIN)/python -m tests.robustness.torture $(ARGS)

# Writes the README's pictures; needs chromium.
pictures: .venv/done
	$(BIN)/python -m tools.pictures

schema: .venv/done ## writes docs/schema.md and whatever else in docs/ is made from the code
	$(BIN)/python -m tools.generate_docs

docs: schema ## builds the pages in build/docs; a dead link fails
	$(BIN)/python -m sphinx -E -W --keep-going -n -q docs build/docs

# The nearest rivals, 100,000 rows, less than a minute.
bench-quick: .venv/done
	$(BIN)/python -m benchmarks --quick
