# The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
export LIFECYCLE_RAW ?= data/demo
export LIFECYCLE_WAREHOUSE ?= warehouse/lifecycle.duckdb
export LIFECYCLE_PUBLISHED ?= published/customer_lifecycle.duckdb
# the demo has a state of its own, so that it never mixes with a real one
export LIFECYCLE_STATE ?= $(if $(filter data/demo,$(LIFECYCLE_RAW)),data/demo_state,state)

VALIDATE := $(BIN)/python scripts/validate_raw.py
# a file of tests stays in one process, so that it builds its warehouse once
PYTEST := $(BIN)/python -m pytest -ra -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo validate build export report daily erase docs metrics superset superset-check bench test test-long test-spark lint clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/core .venv/validate ## make and check demo data, build and test every mart, publish, export, write the report, print the headlines
	$(BIN)/python scripts/generate_demo_data.py --out data/demo --state data/demo_state
	$(MAKE) build export LIFECYCLE_RAW=data/demo LIFECYCLE_STATE=data/demo_state
	@$(BIN)/python scripts/headlines.py
	@echo "Audiences:      exports/"
	@$(BIN)/python scripts/report.py
	@echo "Next:           . $(BIN)/activate && dbt build"

# exit code 1 is warnings only: the build goes on
validate: .venv/core .venv/validate ## check the raw data of LIFECYCLE_RAW (installs Great Expectations)
	@$(VALIDATE) || test $$? -eq 1

build: .venv/core ## check LIFECYCLE_RAW, build and test the marts, publish and record them if all is green; SKIP_VALIDATE=1
	@$(VALIDATE) $(if $(SKIP_VALIDATE),--skip-validate) || test $$? -eq 1
	umask 077 && $(BIN)/dbt build
	$(BIN)/python scripts/publish.py
	$(BIN)/python scripts/record_state.py

export: .venv/core ## write the audiences of the published marts to exports/
	@# exit code 5: published, with some values withheld
	@$(BIN)/python scripts/export_audiences.py || test $$? -eq 5

report: .venv/core ## write the published marts as a page for people, and print its path; OPEN=1 opens it
	@$(BIN)/python scripts/report.py $(if $(OPEN),--open)

daily: .venv/core ## what a scheduler runs every morning (make itself ends with 2 whatever failed; schedulers run scripts/daily.py)
	@$(BIN)/python scripts/daily.py || test $$? -eq 5

# only what was given to make: EMAIL may be anything in the environment. The value goes by standard input, so that no list of
# processes shows it
ASKED = $(strip $(foreach name,ID EMAIL PHONE,$(if $(filter command,$(origin $(name))),$(name))))
OPTION_ID := --id -
OPTION_EMAIL := --email -
OPTION_PHONE := --phone -

erase: .venv/core ## erase a person: ID=, EMAIL= or PHONE= (`-`: type it, so that no history has it), REQUEST=, LIFT=1
	@$(if $(filter -,$($(ASKED))),,printf '%s\n' "$$$(ASKED)" |) $(BIN)/python scripts/erase.py $(if $(LIFT),lift) \
		$(foreach name,$(ASKED),$(OPTION_$(name))) $(if $(REQUEST),--request "$$REQUEST")

docs: .venv/core ## write the documentation of every model, column and metric as one page, and print where it is
	@umask 077 && $(BIN)/dbt --quiet docs generate --static
	@echo target/static_index.html

metrics: .venv/metrics ## list the metrics that `scripts/mf query` answers on the published marts (installs MetricFlow)
	@scripts/mf list metrics

superset: .venv-superset/ready ## Superset with the lifecycle dashboard on the published file, on this machine only; PORT=8088
	@.venv-superset/bin/python scripts/superset/start.py --port $(or $(PORT),8088)

superset-check: .venv-superset/ready ## compare what Superset shows with the marts, number by number
	@.venv-superset/bin/python scripts/superset/check.py

bench: .venv/core .venv/validate .venv-bench/ready ## measure everything and write docs/benchmark.md; SIZE=20000 for a quick look, FOLDER keeps data and answers
	@$(BIN)/python benchmarks/bench.py --size $(or $(SIZE),100000) --peers .venv-bench/bin/python $(if $(FOLDER),--folder $(FOLDER))

test: .venv/dev .venv/validate .venv/metrics tests/report/node_modules data/demo ## lint and run every test
	$(MAKE) lint
	$(PYTEST)

test-long: .venv/dev .venv/validate .venv/metrics tests/report/node_modules data/demo ## the long fuzzing and Spark, too
	@if command -v java >/dev/null; then $(MAKE) .venv/spark; else echo "test-long: without Spark, which needs Java 17 or later"; fi
	TEST_LONG=1 $(PYTEST)

test-spark: .venv/dev ## build the project on Apache Spark, too, and compare every mart (installs Spark; needs Java 17)
	@if command -v java >/dev/null; then $(MAKE) .venv/spark && TEST_SPARK=1 $(BIN)/python -m pytest -ra -s tests/portable; \
	else echo "test-spark: skipped, Spark needs Java 17 or later (Debian: openjdk-17-jre-headless)"; fi

lint: .venv/dev data/demo ## ruff and sqlfluff
	$(BIN)/ruff check .
	LIFECYCLE_WAREHOUSE=:memory: $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar models tests/dbt

clean: ## remove everything that was made, but not your data
	rm -rf .venv .venv-bench .venv-superset .superset tests/report/node_modules target logs exports published warehouse/*.duckdb warehouse/spark data/demo data/demo_state

data/demo: | .venv/core
	$(BIN)/python scripts/generate_demo_data.py --out data/demo

# hashed locks: the same packages on every machine
.venv/core: requirements/core.lock
	@echo "Installing dbt and DuckDB into .venv (about half a minute) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r requirements/core.lock
	@touch $@

# an extra of its own, as it is larger than everything else together; `make build` goes on without it and says so
.venv/validate: requirements/validate.lock | .venv/core
	@echo "Installing Great Expectations for the checks of raw data ..."
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r $<
	@touch $@

.venv/metrics: requirements/metrics.lock | .venv/core
	@echo "Installing MetricFlow for metrics by name ..."
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r $<
	@touch $@

.venv/spark: requirements/spark.lock | .venv/core
	@echo "Installing Spark (600 MB, a minute) ..."
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r $<
	@touch $@

# with pyarrow pandas reads texts in another way, which the checks of raw data are not tested with
.venv-bench/ready: requirements/bench.lock
	@echo "Installing the tools to compare with into .venv-bench (a minute) ..."
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r $<
	@touch $@

# far from dbt's versions, so an environment of its own
.venv-superset/ready: scripts/superset/requirements.lock
	@echo "Installing Superset into .venv-superset (700 MB, some minutes) ..."
	$(PYTHON) -m venv .venv-superset
	.venv-superset/bin/pip install --disable-pip-version-check --quiet --progress-bar off --require-hashes -r $<
	@touch $@

.venv/dev: requirements/dev.lock requirements/data.lock | .venv/core
	@echo "Installing the linters and test tools into .venv ..."
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements/dev.lock
	@# only its data files are used, and its tests are skipped where it cannot be had
	-$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r requirements/data.lock
	@touch $@

# axe-core, for tests/test_report_browser.py; without it those tests are skipped and say so
tests/report/node_modules: tests/report/package-lock.json
	-@command -v npm >/dev/null && npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch -c $@
