# The whole project's commands; `make help` lists them.
#
# Variables (make run HTTP_PORT=8081):
#   VAR_DIR      where the state lives (var)
#   HTTP_PORT    the API on 127.0.0.1 (8080)
#   SIP_PORT     SIP over UDP and TCP (5060)
#   SIP_TLS_PORT SIP over TLS (5061), with KAMAILIO_TLS_CERTIFICATE and KAMAILIO_TLS_PRIVATE_KEY
#   SIP_WS_PORT  SIP over WebSocket (8443), with KAMAILIO_WS_ORIGINS
#   SIP_ADDRESS  the address for SIP and voice (127.0.0.1)
#   NODES        how many Kamailios, the SIP ports of each 10 above the one before (1)
#   MEDIA_PROXY  which calls go through rtpengine: auto, always, off (auto)
#   MEDIA_PORTS  its UDP ports (30000-30999)
#   REPLICA      yes: Kamailio reads credentials from a replica of the database (no)
#   SIP_REALM    the realm, chosen at the first start (talkytime.test)
#   KAMAILIO_DIGEST_ALGORITHM  MD5 or SHA-256 (MD5)
#   ROUNDS       how often 50 calls at once meet a limit, over UDP and TCP each (200)
#   PHONES       how many phones `make phones` has (1000)
#   PYTEST_ARGS, BENCH_ARGS  passed on

VAR_DIR ?= var
export VAR_DIR
ROUNDS ?= 200
PHONES ?= 1000
export ROUNDS

INSTALL := provisioner/stack/install.sh
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --universal \
	--python-version 3.11 pyproject.toml --extra build
AUDITED ?= requirements.lock requirements-traces.lock requirements-dev.lock
# Apart from a system that `docker compose up` has started.
# All clients of the tests are behind few addresses.
COMPOSE := KAMAILIO_REQUESTS_PER_SECOND=100000 KAMAILIO_ADDRESS_GUESSES=100000 \
	docker compose --project-name provisioner-test

.DEFAULT_GOAL := help
.PHONY: help run test attack chaos lint bench phones demo screenshots lock audit sbom compose-test upgrade-test clean

help: ## Show this list
	@sed -n '/^# Variables/,/^$$/s/^# \{0,1\}//p' $(MAKEFILE_LIST)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Install what is missing and run the whole system until Ctrl-C
	@$(INSTALL) run
	@setpriv --pdeathsig TERM $(BIN)/python -m provisioner.stack

test: ## Run all tests against a system of their own
	@$(INSTALL) test
	@$(BIN)/pytest $(PYTEST_ARGS)

# A long test that hangs ends after half an hour, unless it says itself how long it may take (s).
attack: ## Run the attacks in full, and print what they measure
	@$(INSTALL) test
	@$(BIN)/pytest -m attack --timeout 1800 $(PYTEST_ARGS)

chaos: ## Run the faults in full, and print what they measure
	@$(INSTALL) test
	@$(BIN)/pytest -m chaos --timeout 1800 $(PYTEST_ARGS)

lint: ## Check style and types
	@$(INSTALL) lint
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: ## Measure speed, both sides of each comparison in one run
	@$(INSTALL) test
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

phones: ## Keep PHONES phones registered at all nodes of the running system
	@$(INSTALL) test
	@$(BIN)/python -m benchmarks.phones --count $(PHONES)

demo: ## Tell the story of one account, live
	@$(INSTALL) test
	@$(BIN)/python -m tests.demo

screenshots: ## Take the pictures of the console that docs/ shows
	@$(INSTALL) test
	@$(BIN)/python -m tests.console.screenshots

lock: ## Resolve the dependencies anew into the lock files
	@$(INSTALL) lint
	@$(COMPILE) --upgrade --output-file requirements.lock
	@$(COMPILE) --upgrade --extra traces --output-file requirements-traces.lock
	@$(COMPILE) --upgrade --extra traces --extra dev --output-file requirements-dev.lock

audit: ## Ask PyPI for known vulnerabilities of what is locked
	@$(INSTALL) lint
	@$(BIN)/pip-audit --strict --disable-pip $(AUDITED:%=--requirement %)

sbom: ## Write what the service is made of: dist/sbom.cdx.json (CycloneDX)
	@$(INSTALL) lint
	@mkdir -p dist
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml \
		--output-reproducible --output-file dist/sbom.cdx.json requirements.lock

compose-test: ## Run the SIP tests in containers
	$(COMPOSE) up --wait --build
	$(COMPOSE) run --rm tests; status=$$?; $(COMPOSE) down --volumes; exit $$status

upgrade-test: ## Upgrade a cluster from Kamailio 5.6 to 6.0 under load, in containers
	@.ci/rolling-upgrade

clean: ## Remove the Python environment and caches; the data in VAR_DIR stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist
	find provisioner tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
