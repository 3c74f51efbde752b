# The front door. Each target is one command of the tools in .venv; `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SYNAPSE := .cache/synapse
S3 := images/synapse-s3
# What Synapse's image has of the S3 storage provider's dependencies.
IN_SYNAPSE := attrs automat constantly hyperlink idna incremental packaging psycopg2 pyyaml twisted typing-extensions \
  zope-interface
SERVICES := .cache/services
NODE := tests/services/node
CLUSTER := .cache/cluster
# Two halves at a time: a drill mostly waits.
HALF := $(addprefix tests/services/drills/test_,backups.py restore.py upgrade.py)
DRILLS := $(HALF) --beside $(filter-out $(HALF),$(wildcard tests/services/drills/test_*.py))
# Programs of their image's version before this machine's.
export PATH := $(CURDIR)/$(SERVICES)/programs/bin:$(PATH)
# Kapitan loads each component anew for each target: without bytecode it would parse them each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help compile check test test-services test-observability test-drills test-cluster demo lint bench dashboards pictures schema schemas lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

compile: $(VENV)/ready ## Compile the fleet into compiled/ and argocd/, and check it
	@$(BIN)/matrix-fleet compile

check: $(VENV)/ready ## Compare compiled/ and argocd/ with the inventory, and check them; BASE=<commit> also refuses what must not change since
	@$(BIN)/matrix-fleet check $(if $(BASE),--base $(BASE))

test: $(VENV)/ready $(SYNAPSE)/ready lint ## Run every test that needs Python, make and git alone
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-services: $(VENV)/ready ## Boot compiled tenants as real processes and use them (root; Debian's packages); ONLY=<test> for one
	@[ "$$(id -u)" = 0 ] || { echo "make test-services: needs root: Pods run in namespaces of their own" >&2; exit 2; }
	@$(MAKE) --no-print-directory $(SERVICES)/packages $(SERVICES)/programs/ready $(SERVICES)/ready $(SERVICES)/clients
	@PYTHONPATH=lib $(SERVICES)/venv/bin/python tests/services/run.py $(or $(ONLY),tests/services --ignore=tests/services/drills --ignore=tests/services/test_observability.py)

test-drills: $(VENV)/ready ## Lose a tenant's data in every way and restore it, with real programs (root); ONLY=<test> for one
	@$(MAKE) --no-print-directory test-services ONLY="$(or $(ONLY),$(DRILLS))"

test-observability: ## Watch a running tenant with a real Prometheus and Alertmanager, and take its parts away (as test-services)
	@$(MAKE) --no-print-directory test-services ONLY=tests/services/test_observability.py

pictures: test-observability ## Draw the dashboards again from a running tenant into docs/dashboards (as test-observability)
	@mkdir -p docs/dashboards && cp $(SERVICES)/pictures/*.png docs/dashboards/

demo: $(SERVICES)/ready ## A homeserver on this machine from the compiled files, without root; TENANT=<cluster>/<tenant>; Ctrl-C ends it
	@PYTHONPATH=lib $(SERVICES)/venv/bin/python -m fleetnode.demo $(TENANT)

test-cluster: $(VENV)/ready $(SYNAPSE)/ready $(CLUSTER)/ready ## Prove it on a real control plane and Argo CD (root); ONLY=<test>, SCALE=<tenants>
	@[ -n "$(KUBECONFIG)" ] || [ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory $(SERVICES)/packages $(SERVICES)/programs/ready $(SERVICES)/ready
	@SCALE="$(SCALE)" $(BIN)/python tests/cluster/run.py $(ONLY)

lint: $(VENV)/ready ## Style, types and YAML of the sources
	@$(BIN)/ruff check lib components tests
	@$(BIN)/ruff format --check --quiet lib components tests
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict inventory .yamllint .kapitan

bench: $(VENV)/ready ## Measure compiling 10, 100 and 1,000 tenants against the limit of the emitter
	@$(BIN)/python tests/bench.py

dashboards: $(VENV)/ready ## Build Grafana's dashboards again from components/dashboards/build.py
	@$(BIN)/python components/dashboards/build.py

schema: $(VENV)/ready ## Write the inventory's JSON Schema for editors
	@$(BIN)/matrix-fleet schema --write

schemas: $(VENV)/ready ## Fetch the schemas of custom resources again (needs Go and a network)
	@$(BIN)/python -m matrixfleet.checks.schemas.fetch

lock: $(VENV)/ready ## Resolve the lock files again from what they are made of
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade --extra dev -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade -o tests/synapse.lock tests/synapse.in
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade $(addprefix --no-emit-package=,$(IN_SYNAPSE)) -o $(S3)/requirements.lock $(S3)/requirements.in
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade -o tests/services.lock tests/services.in
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade -o tests/clients.lock tests/clients.in
	@$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --upgrade --no-emit-package=psycopg2 -o tests/cluster.lock tests/cluster.in

# Debian's programs, and no daemon of them started: this machine's policy-rc.d is put back as it was.
$(SERVICES)/packages: tests/services.apt
	@echo "installing what $< lists"
	@mkdir -p $(SERVICES)
	@[ ! -e /usr/sbin/policy-rc.d ] || cp -p /usr/sbin/policy-rc.d $(SERVICES)/policy-rc.d
	@printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
	@apt-get update -qq && sed 's/#.*//' $< | DEBIAN_FRONTEND=noninteractive xargs apt-get install -qq --no-install-recommends \
	  >$(SERVICES)/apt.log || { cat $(SERVICES)/apt.log >&2; rm -f /usr/sbin/policy-rc.d; exit 1; }
	@rm -f /usr/sbin/policy-rc.d; [ ! -e $(SERVICES)/policy-rc.d ] || mv $(SERVICES)/policy-rc.d /usr/sbin/policy-rc.d
	@touch $@

# Programs in their images' versions, which this Debian does not have; unpacked, not installed. Needs apt, not root.
$(SERVICES)/programs/ready: tests/programs.apt tests/programs.sh
	@echo "unpacking what $< lists, of newer suites of Debian"
	@sh tests/programs.sh $< $(@D)
	@touch $@

# Synapse, PostgreSQL, Traefik and a client, as PyPI has them; the S3 storage provider as its image has it.
$(SERVICES)/ready: tests/services.lock $(S3)/requirements.lock
	$(call venv,$(SERVICES)/venv,tests/services.lock)
	$(call provider,$(SERVICES)/venv)
	@touch $@

# The clients of scenarios beside them, and what runs on Node.js. npm ci takes the lock's digests from any registry.
$(SERVICES)/clients: tests/clients.lock $(NODE)/package.json $(NODE)/package-lock.json $(SERVICES)/ready
	@echo "installing $< and $(NODE)/package-lock.json"
	@$(SERVICES)/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $<
	@mkdir -p $(SERVICES)/node && cp $(NODE)/package.json $(NODE)/package-lock.json $(SERVICES)/node
	@cd $(SERVICES)/node && PATH="$$PWD/../venv/bin:$$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

clean: ## Remove what make made (not compiled/)
	@rm -rf $(VENV) .cache

# The S3 storage provider, as its Dockerfile puts it in.
define provider
	@$(1)/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(S3)/requirements.lock
endef

# A virtual environment is made anew when its lock file changes, and only then. A lock is whole, so nothing is looked for
# beside it; and of wheels, so that no compiler is needed.
define venv
	@echo "installing $(2) into $(1)"
	@rm -rf $(1) && mkdir -p $(dir $(1))
	@$(PYTHON) -m venv $(1) || { echo "python3 -m venv failed: Debian has it in the package python3-venv" >&2; exit 2; }
	@$(1)/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(2)
endef

$(VENV)/ready: requirements.lock
	$(call venv,$(VENV),requirements.lock)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation -e .
	@touch $@

# Go, Traefik, moto and Barman, as PyPI has them.
$(CLUSTER)/ready: tests/cluster.lock
	$(call venv,$(CLUSTER)/venv,tests/cluster.lock)
	@touch $@

# Synapse's parser and documentation, of exactly the version that runs: tests hold configurations against them. The
# S3 storage provider is put in as its image does it.
$(SYNAPSE)/ready: tests/synapse.lock $(S3)/requirements.lock
	$(call venv,$(SYNAPSE)/venv,tests/synapse.lock)
	$(call provider,$(SYNAPSE)/venv)
	@rm -rf $(SYNAPSE)/source && mkdir -p $(SYNAPSE)/source
	@grep -A 999 '^matrix-synapse==' tests/synapse.lock | awk 'NR > 1 && /^[a-z]/ { exit } { print }' >$(SYNAPSE)/source.lock
	@$(SYNAPSE)/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary matrix-synapse \
	  --require-hashes -r $(SYNAPSE)/source.lock -d $(SYNAPSE)/source
	@tar -xzf $(SYNAPSE)/source/*.tar.gz -C $(SYNAPSE)/source --strip-components=1
	@touch $@
