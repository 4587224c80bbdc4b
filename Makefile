# The whole project's commands; `make help` lists them.
#
# Variables (make run HTTP_PORT=8081):
#   VAR_DIR      where the state lives (var)
#   HTTP_PORT    the API on 127.0.0.1 (8080)
#   SIP_PORT     SIP over UDP and TCP (5060)
#   SIP_ADDRESS  the address for SIP (127.0.0.1)
#   SIP_REALM    the realm, chosen at the first start (talkytime.test)
#   KAMAILIO_DIGEST_ALGORITHM  MD5 or SHA-256 (MD5)
#   PYTEST_ARGS, BENCH_ARGS  passed on

VAR_DIR ?= var
export VAR_DIR

INSTALL := provisioner/stack/install.sh
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --universal \
	--python-version 3.11 pyproject.toml --extra build
# Apart from a system that `docker compose up` has started.
COMPOSE := docker compose --project-name provisioner-test

.DEFAULT_GOAL := help
.PHONY: help run test lint bench demo lock compose-test clean

help: ## Show this list
	@sed -n '/^# Variables/,/^$$/s/^# \{0,1\}//p' $(MAKEFILE_LIST)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Install what is missing and run the whole system until Ctrl-C
	@$(INSTALL) run
	@setpriv --pdeathsig TERM $(BIN)/python -m provisioner.stack

test: ## Run all tests against a system of their own
	@$(INSTALL) test
	@$(BIN)/pytest $(PYTEST_ARGS)

lint: ## Check style and types
	@$(INSTALL) lint
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: ## Measure speed, both sides of each comparison in one run
	@$(INSTALL) test
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

demo: ## Tell the story of one account, live
	@$(INSTALL) test
	@$(BIN)/python -m tests.demo

lock: ## Resolve the dependencies anew into the lock files
	@$(INSTALL) lint
	@$(COMPILE) --upgrade --output-file requirements.lock
	@$(COMPILE) --upgrade --extra dev --output-file requirements-dev.lock

compose-test: ## Run the SIP tests in containers
	$(COMPOSE) up --wait --build
	$(COMPOSE) run --rm tests; status=$$?; $(COMPOSE) down --volumes; exit $$status

clean: ## Remove the Python environment and caches; the data in VAR_DIR stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist
	find provisioner tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
