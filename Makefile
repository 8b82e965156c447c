# The verbs of this project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
COMPILE := $(BIN)/uv pip compile --quiet --no-header --no-annotate
FONTS  := /usr/share/fonts
BROKER := broker/main.go broker/guard.go broker/sasl.go broker/tls.go broker/go.mod broker/go.sum broker/build.py

# Apache Kafka for `kafka-test`: 4.x, or for example KAFKA_VERSION=3.9.1.
KAFKA_VERSION ?= 4.3.1
UNLESS_ALL := $(if $(ALL),,-m "not slow")

.PHONY: help setup web demo up chat test parts-test field-test live-test slow-test kafka-test kafka-ready media-test media-ready cluster-test cluster-ready browser-test browser-ready fonts-ready screenshots ops-screenshots web-speed security-test tls-test node unit lint types web-check web-unit web-histories sim faults seeds bench bench-peers plain soak lock hashes audit fuzz docs clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make the virtual environment and install everything

$(STAMP): pyproject.toml requirements.lock $(BROKER) api/web/build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Roost needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Installing python3-venv (Debian splits it off)"; apt-get update -qq && apt-get install -y -qq python3-venv; }
	@test -x $(BIN)/python || { echo "Making the virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@echo "Installing the versions in requirements.lock, each checked against its hash, and Roost"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@$(BIN)/python broker/build.py & $(BIN)/python api/web/build.py; wait
	@touch $(STAMP)

web: $(STAMP) ## Build the web client again, if its sources have changed
	@$(BIN)/python api/web/build.py

demo: $(STAMP) ## Two people, one conversation, every step with its time
	@$(BIN)/roost demo

up: $(STAMP) ## The whole system on this machine, until Ctrl-C
	@$(BIN)/roost up

chat: $(STAMP) ## A terminal client for a running system: make chat AS=alice
	@$(BIN)/roost chat --as $(or $(AS),alice)

test: $(STAMP) ## Every test but the slowest, on real servers; TESTS=PATHS for some
	@$(BIN)/pytest -m "not slow" $(TESTS)

parts-test: $(STAMP) ## Of these: each part on a real server
	@$(BIN)/pytest -m "not slow" tests/contract tests/integration tests/fuzz

field-test: $(STAMP) ## Of these: a running system as clients see it, call by call
	@$(BIN)/pytest -m "not slow" tests/field

live-test: $(STAMP) ## Of these: whole systems that are loaded, struck, scaled and stopped
	@$(BIN)/pytest -m "not slow" tests/live

slow-test: $(STAMP) ## The slowest tests: stops while parts hang, a lost or trimmed log, further faults (about ten minutes)
	@$(BIN)/pytest -m slow

kafka-test: kafka-ready ## The log's tests and faults on Apache Kafka, one broker and three; ALL=1 with the slowest
	@$(BIN)/pytest --kafka-version $(KAFKA_VERSION) --log-on-kafka $(or $(KAFKA_TESTS),tests/contract/test_log.py tests/integration/test_pusher.py tests/kafka) $(UNLESS_ALL)

kafka-ready: $(STAMP)
	@$(call debian,java:default-jre-headless mvn:maven)
	@$(BIN)/python deploy/kafka/brokers.py --fetch --version $(KAFKA_VERSION)

media-test: media-ready ## Files in buckets, on servers that speak S3, GCS and Azure; ALL=1 with 1 GiB
	@$(BIN)/pytest --media-on s3,gcs,azure tests/contract/test_blobs.py tests/integration/test_api_media.py tests/buckets $(UNLESS_ALL)

media-ready: $(STAMP)
	@$(BIN)/python -m tests.buckets.install

cluster-test: cluster-ready ## Three hosts made by ray up: killed, cut off, drained, added (Linux, root); ALL=1 with the slowest
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/pytest -s -v tests/cluster $(UNLESS_ALL)

cluster-ready: $(STAMP)
	@test "$$(id -u)" = 0 || { echo "Hosts are network namespaces, and to make them needs root."; exit 2; }
	@$(call debian,sshd:openssh-server ssh:openssh-client rsync:rsync ip:iproute2 haproxy:haproxy)

browser-test: browser-ready web ## The web client in browsers, on a running system; ALL=1 with the slowest
	@$(BIN)/pytest tests/browser $(UNLESS_ALL)

screenshots: browser-ready fonts-ready web ## Every view of the web client, light and dark, large and small, in screenshots/
	@$(BIN)/python -m tests.browser.screenshots

fonts-ready: $(STAMP)
	@$(call debian,$(FONTS)/truetype/noto/NotoColorEmoji.ttf:fonts-noto-color-emoji \
	  $(FONTS)/opentype/noto/NotoSansCJK-Regular.ttc:fonts-noto-cjk)

ops-screenshots: browser-ready cluster-ready web ## Faults on three machines, watched through the operators' page; README=90 keeps that second's picture, UNTIL=120 ends early (Linux, root)
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m tests.browser.watched_faults $(if $(README),--readme $(README)) $(if $(UNTIL),--until $(UNTIL))

web-speed: browser-ready ## First paint, a conversation of 10,000 messages, a trace: on a running system, URL=...
	@$(BIN)/python -m tests.browser.speed $(URL)

browser-ready: $(STAMP)
	@$(call debian,chromium:chromium)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r tests/browser/tools.lock

security-test: $(STAMP) ## Each guard taken out, so that its attack succeeds; the firewall in namespaces (Linux, root; about half an hour)
	@test "$$(id -u)" = 0 || { echo "The firewall is tried in network namespaces, and to make them needs root."; exit 2; }
	@$(call debian,nft:nftables ip:iproute2)
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/pytest tests/security

# Left out: what is about servers or links without TLS, the broker that has none, half-closed connections, which
# TLS has not, and what a start refuses whose settings are those that TLS sets.
tls-test: $(STAMP) ## Contracts, the API in the field and every fault with TLS on every hop (three quarters of an hour)
	@$(BIN)/python -m tests.encrypted $(BIN)/pytest -m "not slow" $(or $(TESTS),tests/contract tests/field) \
	  --ignore tests/contract/test_guarded_servers.py --ignore tests/contract/test_servers_with_tls.py \
	  --ignore tests/contract/test_log_on_tansu.py --ignore tests/field/test_machines.py \
	  --deselect tests/field/test_rules.py::test_who_proves_nothing_is_cut_off_and_written_down \
	  --deselect "tests/field/test_http.py::test_a_request_that_breaks_off_is_not_carried_out[closed]"
	@test -n "$(TESTS)" || $(BIN)/python -m tests.encrypted $(BIN)/python -m sim.every_fault --duration 15

# Install the packages whose command or file is missing, each as COMMAND:PACKAGE; one such call at a time.
debian = export PATH="$$PATH:/usr/sbin:/sbin"; for each in $(1); do \
	  command -v "$${each%:*}" >/dev/null || test -e "$${each%:*}" || missing="$$missing $${each\#*:}"; done; \
	  test -z "$$missing" || { echo "Installing$$missing"; flock $(STAMP) sh -c \
	  "apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing" >/dev/null; }

node: $(STAMP) ## Gather in node/ what ray_cluster.yaml brings to each node: make node NODES="10.0.0.11 10.0.0.12"
	@mkdir -p -m 700 node
	@$(BIN)/python api/web/build.py || true
	@rm -f node/*.whl && $(BIN)/uv build --quiet --wheel --out-dir node && rm -f node/.gitignore
	@cp constraints.txt node/
	@cp examples/node/run node/
	@test -e node/settings.env || cp examples/node/settings.env node/
	@umask 077; test -e node/ray-token || $(BIN)/python -c 'import secrets; print(secrets.token_hex(32), end="")' > node/ray-token
	@$(BIN)/python -c 'from pathlib import Path; from roost.clock import now_ms; from storage.keyring import KeyRing; \
	  KeyRing.load_or_create(Path("node/keyring.json"), now_ms)'
	@test -e certs/ca.key || $(BIN)/roost certs init >/dev/null
	@test -e certs/node.crt -o -z "$(NODES)" || $(BIN)/roost certs issue node $(NODES) >/dev/null
	@test ! -e certs/node.crt || cp -p certs/ca.crt certs/node.crt certs/node.key node/
	@test -e node/node.crt || { echo 'There is no certificate yet: say the addresses of all nodes, as in'; \
	  echo '  make node NODES="10.0.0.11 10.0.0.12"'; exit 2; }
	@echo "In node/: the package, the key ring, the token of Ray, a certificate. Fill in node/settings.env."

unit: $(STAMP) ## The pure rules only, in seconds
	@$(BIN)/pytest tests/unit

lint: $(STAMP) ## Style, imports, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(STAMP) ## mypy --strict
	@$(BIN)/mypy

web-check: $(STAMP) ## Types and style of the web client
	@$(BIN)/python api/web/build.py --run check

web-unit: $(STAMP) ## The web client's rules, in seconds
	@$(BIN)/python api/web/build.py --run test

web-histories: $(STAMP) ## 200 random histories of the SDK's core on that of the web client; SEED=7 for others
	@mkdir -p api/web/client/test/more
	@$(BIN)/python -m tests.vectors.core --seed $(or $(SEED),1000) --count 200 > api/web/client/test/more/core.json
	@$(BIN)/python api/web/build.py --run test; code=$$?; rm -r api/web/client/test/more; exit $$code

sim: $(STAMP) ## Two thousand virtual users for a minute, audited; the report is sim.html
	@$(BIN)/roost sim --users 2000 --rate 300 --duration 60 --report sim.html --json sim.json

faults: $(STAMP) ## Every fault for a minute each, then mixed (about three quarters of an hour)
	@$(BIN)/python -m sim.every_fault --duration 60

seeds: $(STAMP) ## 2,000 deterministic runs of rules and control plane, faults and all, that no other commit plays; SEEDS=, FROM= for others
	@$(BIN)/python -m sim.deterministic --seeds $(or $(SEEDS),2000) --from $(or $(FROM),commit)

bench: $(STAMP) ## Speed and memory of the embedded system, with a ledger (ten minutes); bench.json, bench.html
	@$(BIN)/python -m benchmarks.run --json bench.json --html bench.html

bench-peers: $(STAMP) ## The same loads on ejabberd with PostgreSQL, in turn with ours; bench-peers.json (Debian)
	@$(BIN)/python -m benchmarks.peers --json bench-peers.json

plain: $(STAMP) ## Ten runs of three minutes of plain use: nothing may be lost (40 minutes)
	@$(BIN)/python -m benchmarks.plain --json plain.json

soak: $(STAMP) ## Two million messages with bounded memory (about ten minutes)
	@$(BIN)/python -m benchmarks.soak

lock: $(STAMP) ## Choose the newest allowed versions again
	@{ echo "# The versions that the tests run with. Made by: make lock"; $(COMPILE) \
	  --upgrade --extra embedded --extra otel --group dev pyproject.toml; } > constraints.txt
	@$(MAKE) --no-print-directory hashes

hashes: $(STAMP) ## Write the hashes of the versions in constraints.txt, after a change of it by hand
	@{ echo "# constraints.txt with the hash of each file. Made by: make lock"; $(COMPILE) --generate-hashes \
	  -c constraints.txt --extra embedded --extra otel --group dev pyproject.toml; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
	@{ echo "# What make audit runs. Made by: make lock"; $(COMPILE) --generate-hashes --group audit; } > audit/tools.lock.new
	@mv audit/tools.lock.new audit/tools.lock
	@{ echo "# What make fuzz needs. Made by: make lock"; $(COMPILE) --generate-hashes --group fuzz; } > tests/fuzz/tools.lock
	@{ echo "# What make browser-test needs. Made by: make lock"; $(COMPILE) --generate-hashes --group browser; } > tests/browser/tools.lock

fuzz: $(STAMP) ## Every parser under atheris; SECONDS= for each (600), TARGETS= for some
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r tests/fuzz/tools.lock
	@mkdir -p .fuzz; for each in $(or $(TARGETS),$$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)')); do \
	  echo "$$each"; $(BIN)/python -m tests.fuzz.forever $$each $(or $(SECONDS),600) > .fuzz/$$each.log 2>&1 || \
	  { tail -40 .fuzz/$$each.log; exit 1; }; tail -1 .fuzz/$$each.log; rm .fuzz/$$each.log; done

audit: $(STAMP) ## Known vulnerabilities, licences, bill of materials (sbom.json), secrets in the tree; 3: could not be asked
	@mkdir -p .audit
	@test -x .audit/tools/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .audit/tools
	@$(BIN)/uv pip sync --quiet --python .audit/tools/bin/python --require-hashes audit/tools.lock
	@test -x .audit/runtime/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .audit/runtime
	@$(COMPILE) --generate-hashes -c constraints.txt --extra embedded --extra otel pyproject.toml > .audit/runtime.lock
	@$(BIN)/uv pip sync --quiet --python .audit/runtime/bin/python --require-hashes .audit/runtime.lock
	@$(BIN)/python -m audit

docs: $(STAMP) ## The generated references: settings, codes, the API, attacks
	@$(BIN)/python -m docs.generate

clean: ## Remove what was made here
	rm -rf deploy/kafka/jars tests/buckets/servers/bin tests/buckets/servers/node_modules api/web/build api/web/.build.* api/web/client/node_modules .audit .fuzz $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
