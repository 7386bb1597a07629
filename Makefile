# What CI runs, and what a person runs: the same targets. `make` alone lists them.
UV ?= uv
RUN = $(UV) run --group dev

# docs/iceberg.md names it.
TRINO = 476

# What a machine that rents needs; the bucket and Pulumi ESC for what is pushed.
RENTING = $(foreach name,hetzner oracle ovh scaleway ssh s3 esc,--extra $(name))

.PHONY: help lint format test test-cli test-coverage test-sqlmesh test-infra test-gitlab test-campaigns test-alone iceberg-parts trino \
	build build-artifact recorded-build sqlmesh-plan push docs infra infra-preview bench bench-rented sweep run check clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

lint:  ## Check format, lint, types, imports, the lock file and the CI file.
	$(UV) lock --check
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) --group iceberg --group infra mypy
	$(UV) run --group dev --group lint --group iceberg lint-imports
	$(RUN) check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml

format:  ## Format, and fix what ruff can fix.
	$(RUN) ruff format
	$(RUN) ruff check --fix

test:  ## Run all tests but the campaigns.
	$(RUN) pytest

test-cli:  ## Run the tests without those of the SQLMesh project.
	$(RUN) pytest --ignore=tests/transform

test-coverage:  ## As test-cli, with the coverage of the processes that tests run in.
	$(UV) run --group dev --group coverage pytest --ignore=tests/transform \
		--cov --cov-report=term --cov-report=xml

test-sqlmesh:  ## Run the tests of the SQLMesh project.
	$(RUN) pytest tests/transform

test-infra:  ## Run the tests of infra/, with the SDKs of Pulumi, and its engine where it is on PATH.
	$(RUN) --group infra pytest -m "not campaign or engine" tests/infra

test-gitlab:  ## Run the jobs of the CI file by gitlab-ci-local (npm), from a clone of the last commit.
	$(RUN) --group infra pytest -m campaign tests/test_gitlab_jobs.py tests/test_ci.py

test-campaigns:  ## Run the tests that take minutes: every fault at every request, every lie of a worker.
	$(RUN) pytest -m campaign
	$(RUN) pytest -m "hypothesis and not campaign" --hypothesis-profile=thorough

test-alone:  ## Install core, each kit and each plugin alone, and hold it to its contract; ONLY=name for one.
	$(RUN) pytest -m campaign --numprocesses=2 tests/test_alone.py $(if $(ONLY),-k "$(ONLY)")

iceberg-parts:  ## Get what tests of Iceberg need: pyiceberg, Apache's catalog (Java, Maven), readers, Spark.
	$(UV) sync --quiet --inexact --group dev --group iceberg
	$(UV) sync --quiet --project tests/iceberg_readers
	mvn --quiet --batch-mode --file tests/iceberg_catalog dependency:build-classpath \
		-Dmdep.outputFile=target/classpath.txt
	javac -d tests/iceberg_catalog/target/classes \
		-cp "$$(cat tests/iceberg_catalog/target/classpath.txt)" tests/iceberg_catalog/src/*.java
	mvn --quiet --batch-mode --file tests/iceberg_readers dependency:build-classpath \
		-Dmdep.outputFile=target/classpath.txt
	$(UV) sync --quiet --inexact --group dev --group iceberg --group spark

trino:  ## Get Trino (820 MB) for the campaign that reads tables with it; that needs Java 24 too.
	mvn --quiet --batch-mode dependency:copy -Dartifact=io.trino:trino-server:$(TRINO):tar.gz \
		-DoutputDirectory=tests/iceberg_readers/target
	mkdir -p tests/iceberg_readers/target/trino
	tar -xzf tests/iceberg_readers/target/trino-server-$(TRINO).tar.gz --strip-components=1 \
		-C tests/iceberg_readers/target/trino
	rm tests/iceberg_readers/target/trino-server-$(TRINO).tar.gz
	find tests/iceberg_readers/target/trino/plugin -mindepth 1 -maxdepth 1 ! -name iceberg \
		-exec rm -r {} +

build:  ## Build a wheel and a source archive of each distribution into dist/.
	$(UV) build --all-packages --out-dir dist

recorded-build:  ## Record the first build of the SQLMesh project anew, after a change of its models or libraries.
	$(RUN) python tools/record_build.py

sqlmesh-plan:  ## Write to sqlmesh-plan.txt what this branch changes in the tables, against the sample of BASE.
	git worktree add --force --detach .plan $(BASE)
	cd .plan && $(UV) run materia run --sample --quiet
	MATERIA_DATABASE=.plan/materia.duckdb MATERIA_DEV_DATABASE=.plan/dev.duckdb $(UV) run \
		sqlmesh -p transform/sqlmesh_materia plan --no-prompts --skip-tests --explain > sqlmesh-plan.txt
	git worktree remove --force .plan

build-artifact:  ## Build what a machine runs into OUT; FOR="--stage extract" or FOR=--supervisor for a part.
	$(UV) run $(RENTING) materia artifact build $(FOR) --output $(OUT)

push:  ## Check the secrets, then push what runs of CHANNEL use, with the options FOR.
	$(UV) run $(RENTING) materia secrets check
	$(UV) run $(RENTING) materia artifact push --channel $(CHANNEL) $(FOR)

infra:  ## Make what infra/ describes: `pulumi up` of STACK.
	$(UV) run --group infra pulumi -C infra up --yes --stack $(STACK)

infra-preview:  ## Show what `make infra` would change in STACK, and change nothing.
	$(UV) run --group infra pulumi -C infra preview --diff --refresh --stack $(STACK)

bench:  ## Measure against peers and limits, and print the table.
	$(RUN) python benchmarks/run.py

bench-rented:  ## Measure what materia adds on a rented machine, against ssh by hand.
	$(RUN) python benchmarks/rented.py

sweep:  ## Destroy what is past its deadline on every provider whose credentials are set.
	$(UV) run $(RENTING) materia sweep --all-providers

run:  ## Run the pipeline of materia.toml.
	$(UV) run $(RENTING) materia run --quiet

check:  ## Fail when the last good run is too old.
	$(UV) run $(RENTING) materia schedule check

docs:  ## Build the pages as a site into OUT, or public/; a broken link fails.
	$(UV) run --group docs --extra ecb --extra s3 python tools/build_docs.py $(or $(OUT),public)

clean:  ## Remove what tools leave behind; raw files and databases stay.
	rm -rf dist public coverage.xml .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +
