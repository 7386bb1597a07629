# What CI runs, and what a person runs: the same targets. `make` alone lists them.
UV ?= uv
RUN = $(UV) run --group dev

.PHONY: help lint format test test-campaigns test-alone iceberg-parts build bench bench-rented sweep clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

lint:  ## Check format, lint, types, imports, the lock file and the CI file.
	$(UV) lock --check
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) --group iceberg mypy
	$(UV) run --group dev --group lint --group iceberg lint-imports
	$(RUN) check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml

format:  ## Format, and fix what ruff can fix.
	$(RUN) ruff format
	$(RUN) ruff check --fix

test:  ## Run all tests but the campaigns.
	$(RUN) pytest

test-campaigns:  ## Run the tests that take minutes: every fault at every request, every lie of a worker.
	$(RUN) pytest -m campaign

test-alone:  ## Install core, each kit and each plugin alone, and hold it to its contract; ONLY=name for one.
	$(RUN) pytest -m campaign --numprocesses=2 tests/test_alone.py $(if $(ONLY),-k "$(ONLY)")

iceberg-parts:  ## Get what tests of the sink iceberg need: pyiceberg, Apache's catalog (Java, Maven), readers.
	$(UV) sync --quiet --inexact --group dev --group iceberg
	$(UV) sync --quiet --project tests/iceberg_readers
	mvn --quiet --batch-mode --file tests/iceberg_catalog dependency:build-classpath \
		-Dmdep.outputFile=target/classpath.txt
	javac -d tests/iceberg_catalog/target/classes \
		-cp "$$(cat tests/iceberg_catalog/target/classpath.txt)" tests/iceberg_catalog/src/*.java

build:  ## Build a wheel and a source archive of each distribution into dist/.
	$(UV) build --all-packages --out-dir dist

bench:  ## Measure against peers and limits, and print the table.
	$(RUN) python benchmarks/run.py

bench-rented:  ## Measure what materia adds on a rented machine, against ssh by hand.
	$(RUN) python benchmarks/rented.py

sweep:  ## Destroy what is past its deadline on every provider whose credentials are set.
	$(UV) run $(foreach name,hetzner oracle ovh scaleway,--extra $(name)) materia sweep --all-providers

clean:  ## Remove what tools leave behind; raw files and databases stay.
	rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +
