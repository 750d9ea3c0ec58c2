# Everything from nothing: `make demo` needs Python >= 3.11 and make, nothing else.
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# Without compiled modules each process compiles all anew, and takes twice as long to start.
export PYTHONDONTWRITEBYTECODE :=
PYTHON ?=
UV_VERSION := 0.13.9
VENV := .venv/bin

.PHONY: help up demo test scale faults kills schema image check bench pictures clean test-tools bench-tools

help:
	@echo "make demo      the whole stack with sample hosts, real syncs, and readings through an outage (EXIT=1: stop after them)"
	@echo "make up        the stack: web, workers, beat, Flower, PostgreSQL, Valkey; data stays in var/"
	@echo "make test      every test (ARGS='tests/embedded -x' for some)"
	@echo "make scale     listings of a million files in flat memory, the slow ones of 100,000, every page of the console with"
	@echo "               a million records and 10,000 jobs, and 10,000 fuzzed names"
	@echo "make faults    ten minutes of kills, stops and cuts on a fleet of this machine's, judged (docs/faults.md)"
	@echo "make kills     5000 kills of a worker at twenty points, and no version that is not whole (KILLS, SEED); then"
	@echo "               200 of workers and servers while tables are synced, and no table is torn (ROWS=1: these alone); then"
	@echo "               300 of all that carries 1,000,000 readings, and none is lost or doubled (OUTBOX=1: these alone);"
	@echo "               a tenth of KILLS are of what sends alerts (ALERTS=1: these alone)"
	@echo "make schema    the REST surface held against its OpenAPI document, in all of schemathesis' phases"
	@echo "make image     the image by deploy/Dockerfile, and each container of docker-compose.yml at work in it, by podman (as root)"
	@echo "make check     format, lint, types, import contracts, migrations"
	@echo "make bench     whole records beside rclone, lftp, rsync, wget; rows beside COPY, sling, pgloader and dlt; queue, schedules, outbox, alerts, REST (ARGS='--kinds sftp --corpora S')"
	@echo "make pictures  takes the pictures of the console anew (README, docs/console.md)"
	@echo "make clean     removes the environment and the caches, never var/"
	@echo "               SEED=n replays a run, SECONDS=n its length; KILLS=50 measures takeovers instead"
	@echo "Variables: PYTHON, EXIT, ARGS, WEB_PORT, FLOWER_PORT, WORKERS, DATA_DIR, DATABASE_URL, REDIS_URL"

# `exec`, so that a signal to make's child is a signal to the stack; `--tied`, so that the stack also
# ends when make is killed.
up: .venv/.runtime
	@exec $(VENV)/python manage.py stack --tied

demo: .venv/.runtime
	@exec $(VENV)/python manage.py stack --tied --demo $(if $(filter-out 0,$(EXIT)),--exit)

test: .venv/.development test-tools
	@exec $(VENV)/python -m pytest $(if $(ARGS),$(ARGS),--numprocesses 3 --dist loadfile --no-loadscope-reorder)

scale: .venv/.development test-tools
	@$(VENV)/python -m pytest tests/scale -m scale --timeout 900 $(ARGS)
	@$(if $(ARGS),true,exec $(VENV)/python -m pytest tests/fuzz --thorough --timeout 900)

faults: .venv/.development test-tools
	@$(VENV)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(KILLS),--kills $(KILLS)) $(ARGS)
	@$(if $(or $(SEED),$(SECONDS),$(KILLS),$(ARGS)),true,exec $(VENV)/python -m pytest tests/faults -m apart)

kills: .venv/.development test-tools
	@$(if $(or $(OUTBOX),$(ROWS)),true,$(VENV)/python -m pytest tests/kills$(if $(ALERTS),/test_killed_senders.py) -s --kills $(or $(KILLS),5000) --seed $(or $(SEED),1) $(ARGS))
	@$(if $(or $(OUTBOX),$(ALERTS)),true,$(VENV)/python -m tests.rowwork.killing --seed $(or $(SEED),1) --kills $(if $(ROWS),$(or $(KILLS),200),200) $(if $(ROWS),$(ARGS)))
	@$(if $(or $(ROWS),$(ALERTS)),true,exec $(VENV)/python -m tests.outbox.kills --seed $(or $(SEED),1) --kills $(or $(KILLS),300) $(if $(OUTBOX),$(ARGS)))

schema: .venv/.development
	@exec $(VENV)/python -m pytest tests/api/test_schema.py -s --thorough $(ARGS)

image: .venv/.development test-tools
	@deploy/install-image-tools
	@exec $(VENV)/python -m pytest tests/image -m image -s $(ARGS)

check: .venv/.development
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy .
	$(VENV)/lint-imports
	$(VENV)/python manage.py makemigrations --check --dry-run
	$(VENV)/python manage.py check

bench: .venv/.development test-tools bench-tools
	@$(VENV)/python -m benchmarks $(ARGS)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.queues)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.schedules)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.outbox)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.alerts)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.rows)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.rows.elsewhere)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.rows.objects)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.search.text)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.search.hanging)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.mcp)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.search.query)
	@$(if $(ARGS),true,$(VENV)/python -m benchmarks.search.peer)
	@$(if $(ARGS),true,exec $(VENV)/python -m benchmarks.surfaces)

pictures: .venv/.development test-tools
	@exec $(VENV)/python docs/pictures/shoot.py

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
	@if [ -d var ]; then echo "kept: var/ (the data; remove it yourself, and what var/postgres links to)"; fi

# One line of shell that leaves a fitting interpreter in $$python, or says what is missing.
define find_python
python=; \
for each in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14 python); do \
	if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "Python 3.11 or newer was not found: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	echo "$$python cannot make environments: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; \
fi
endef

# uv takes seconds where pip takes half a minute; pip is the way out where uv finds no index.
define install
@echo "installing $(1) into .venv (once)"
@if ! { $(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
		&& $(VENV)/uv pip install --quiet --system-certs --python $(VENV)/python -r $(1) -c constraints.txt; \
	} 2>.venv/uv.log; then \
	echo "uv could not (.venv/uv.log says why), so pip does it: this takes longer"; \
	$(VENV)/python -m pip install --quiet --disable-pip-version-check -r $(1) -c constraints.txt; \
fi
@touch $@
endef

.venv/.made:
	@if ! $(VENV)/python -m pip --version >/dev/null 2>&1; then \
		$(find_python); echo "making .venv with $$python"; "$$python" -m venv --clear .venv || exit 1; \
	fi
	@touch $@

.venv/.runtime: .venv/.made requirements.txt constraints.txt
	$(call install,requirements.txt)

.venv/.development: .venv/.made requirements.txt requirements-dev.txt constraints.txt
	$(call install,requirements-dev.txt)
	@touch .venv/.runtime

test-tools:
	@deploy/install-test-tools
	@deploy/install-mcp-clients

bench-tools: .venv/.development
	@deploy/install-bench-tools
