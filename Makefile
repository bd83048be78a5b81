# Every target sets up what it needs; a second call only does what changed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# rustup puts itself there, and on the path of the next login only.
export PATH := $(PATH):$(HOME)/.cargo/bin
JOBS ?= $(shell nproc)
# Targets that do not disturb each other; each one's output stays together.
# Set by `make test`, which leaves out what is marked as long; `make test-all` plays it, and so does
# each part by itself.
WITHOUT_LONG ?=
NOT_LONG := $(if $(WITHOUT_LONG),-m "not long")
export TESTS_WITHOUT_LONG := $(WITHOUT_LONG)
SIDE_BY_SIDE := --no-print-directory --jobs=$(JOBS) --output-sync=target

# The core of the native SDKs is a workspace of its own; what both need is built once.
# Without a package named it takes the pure crates; those with transports and sockets bring str0m and
# aws-lc, minutes of compiling, or libraries of the system, and are `make sdk-native`'s.
SDK_CARGO := --manifest-path sdk/native/Cargo.toml --target-dir native/target --jobs $(JOBS) --quiet --locked
SDK_NATIVE := --manifest-path sdk/native/Cargo.toml --target-dir .cache/sdk-native --jobs $(JOBS) --locked
SDK_NATIVE_CRATES := -p sealroute-transport -p sealroute-client -p sealroute-native -p sealroute-codecs -p sealroute-capi

NATIVE_SOURCES := $(shell find native -name '*.rs' -o -name 'Cargo.toml' -o -name 'Cargo.lock' 2>/dev/null | grep -v /target/)
WEB_SOURCES := $(shell find sdk/web web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
# An encoder of another make, for WHIP.
GSTREAMER := $(foreach package,gstreamer1.0-nice gstreamer1.0-plugins-bad gstreamer1.0-plugins-good gir1.2-gst-plugins-bad-1.0 python3-gi,/usr/share/doc/$(package)=$(package))

# Mounts and other users are root's. CI is root.
IMAGE := $(if $(filter 0,$(shell id -u)),test-image,image-not-tested)

# Namespaces, Janus, a profiler, and the counter of instructions.
BENCH_REQUIRES := scripts/require /usr/sbin/ip=iproute2 unshare=util-linux janus=janus perf=linux-perf valgrind=valgrind

PYTHON_SDK := sdk/python/src/sealroute_client

# Python's side of the seam to the media core, from its description in Rust.
CORE_API = cargo run --quiet --manifest-path native/Cargo.toml --jobs $(JOBS) -p sealroute-schema | $(BIN)/python scripts/core_api.py | $(BIN)/ruff format --stdin-filename sfu/core_api.py -

.PHONY: test-cluster sdk-native test-sdk-native install-sdk-native fuzz fuzz-hours random-acts check-descriptors check-switches help run build packages test test-all test-parts test-image test-deploy image-not-tested test-python test-egress test-native test-web test-browser test-hostile test-core test-apart lint lint-python lint-native lint-web format screenshots bench bench-quick bench-full bench-forwarding bench-cluster bench-rest bench-joins bench-memory bench-families bench-browser bench-before bench-guard bench-network bench-egress bench-attack docs docs-site clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# --- set-up -------------------------------------------------------------------------------

$(VENV)/tools.stamp:
	@PYTHON=$(PYTHON) scripts/toolchain
	@scripts/require cc=build-essential
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { scripts/require /usr/share/doc/python3-venv=python3-venv && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/pip install --quiet --upgrade pip 'maturin>=1.9,<2'
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/tools.stamp pyproject.toml constraints.txt
	@echo "Installing Python dependencies"
	@$(BIN)/python scripts/dependencies.py > $(VENV)/runtime.txt
	@$(BIN)/pip install --quiet --constraint constraints.txt --requirement $(VENV)/runtime.txt
	@touch $@

$(VENV)/native.stamp: $(VENV)/runtime.stamp $(NATIVE_SOURCES)
	@echo "Building the media core (release); the first time, this takes some minutes"
	@# The pip that maturin calls lists each package that is there.
	@PIP_QUIET=1 CARGO_BUILD_JOBS=$(JOBS) $(BIN)/maturin develop --release --quiet
	@touch $@

# Pip does not expect another pip beside it.
$(VENV)/client.stamp: $(VENV)/runtime.stamp sdk/python/pyproject.toml | $(VENV)/native.stamp
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable sdk/python
	@touch $@

$(VENV)/web.stamp: $(VENV)/tools.stamp $(WEB_SOURCES)
	@echo "Building the browser SDK"
	@scripts/web
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp | $(VENV)/client.stamp
	@$(BIN)/python scripts/dependencies.py dev > $(VENV)/dev.txt
	@$(BIN)/python scripts/dependencies.py egress >> $(VENV)/dev.txt
	@$(BIN)/pip install --quiet --constraint constraints.txt --requirement $(VENV)/dev.txt
	@# A peer of tests. What it declares is old and contains pytest; what it imports is there.
	@$(BIN)/pip install --quiet --no-deps vonage-audio-connector-server==0.1.1
	@touch $@

$(VENV)/docs.stamp: $(VENV)/runtime.stamp
	@$(BIN)/python scripts/dependencies.py docs > $(VENV)/docs.txt
	@$(BIN)/pip install --quiet --constraint constraints.txt --requirement $(VENV)/docs.txt
	@touch $@

$(VENV)/official.stamp: $(VENV)/tools.stamp tests/official/package-lock.json
	@cd tests/official && npm ci --loglevel=error
	@touch $@

# Object stores of other makes, each with a folder of its own.
BUCKETS := $(VENV)/moto.stamp $(if $(WITHOUT_LONG),,$(VENV)/azurite.stamp)

$(VENV)/moto.stamp: $(VENV)/tools.stamp tests/moto.txt
	@echo "Installing moto, for archives in buckets"
	@[ -x .cache/moto/bin/python ] || $(PYTHON) -m venv .cache/moto
	@.cache/moto/bin/pip install --quiet --no-deps --requirement tests/moto.txt
	@touch $@

# Large, and for long tests alone.
$(VENV)/azurite.stamp: $(VENV)/tools.stamp
	@echo "Installing Azurite, for archives in buckets"
	@mkdir -p .cache/azurite && cd .cache/azurite && npm install --silent --no-audit --no-fund azurite@3.35.0
	@touch $@

# What builds applications; for long tests alone.
$(VENV)/bundled.stamp: $(VENV)/tools.stamp tests/browser/bundled/package.json
	@echo "Installing Vite, webpack and Next, for tests of what they build"
	@mkdir -p .cache/bundled && cp tests/browser/bundled/package.json .cache/bundled
	@cd .cache/bundled && npm install --silent --no-audit --no-fund
	@touch $@

build: ## Build everything into .venv
	@$(MAKE) --silent --no-print-directory --jobs=$(JOBS) $(VENV)/native.stamp $(VENV)/client.stamp $(VENV)/web.stamp

# --- the main job -------------------------------------------------------------------------

packages: build ## npm tarballs and Python wheels, into .cache/packages
	@scripts/packages .cache/packages

run: build ## Set up and serve (embedded default: SQLite, one process)
	@exec $(BIN)/sealroute serve --development $(ARGS)

# --- proof --------------------------------------------------------------------------------

test: ## Set up and run the tests of every change
	@$(MAKE) --no-print-directory WITHOUT_LONG=1 test-parts
	@echo "All tests passed."

test-all: ## All tests: the long ones too, fuzzing for a minute each, and the files of deploy/ (root)
	@$(MAKE) --no-print-directory WITHOUT_LONG= test-parts test-deploy
	@$(MAKE) --no-print-directory FUZZ_SECONDS=60 fuzz
	@echo "All tests passed."

test-parts: build $(VENV)/dev.stamp
	@# What compiles and counts runs side by side; what plays calls has the machine to itself.
	@$(MAKE) $(SIDE_BY_SIDE) test-core test-apart
	@$(MAKE) --no-print-directory test-python test-browser test-hostile

test-core: ## The media core: Rust tests, instructions per packet
	@$(MAKE) --no-print-directory --jobs=1 test-native bench-guard

test-apart: ## Browser SDK tests in Node; the container image
	@$(MAKE) --no-print-directory --jobs=1 test-web $(IMAGE)

test-native: $(VENV)/tools.stamp ## Rust tests, of the media core and of sdk/native
	@# Without the extension: it has no tests, and to link it takes the headers and library of Python.
	cd native && cargo test --workspace --exclude sealroute-python --quiet --jobs $(JOBS)
	cargo test $(SDK_CARGO)

test-python: build $(VENV)/dev.stamp $(VENV)/official.stamp $(BUCKETS) ## Python tests, the official SDKs and real peers among them
	@scripts/require ffmpeg=ffmpeg unzip=unzip turnserver=coturn /usr/lib/postgresql=postgresql ip=iproute2 baresip=baresip-core sipp=sip-tester chromium=chromium bwrap=bubblewrap /usr/share/doc/libpangoft2-1.0-0=libpangoft2-1.0-0 nginx=nginx-core /usr/lib/nginx/modules/ngx_rtmp_module.so=libnginx-mod-rtmp $(GSTREAMER)
	scripts/live-tests --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 4 --ignore tests/hostile $(NOT_LONG)

# Not a part of `make test`: str0m and aws-lc take minutes to compile.
PREFIX ?= /usr/local
sdk-native: $(VENV)/tools.stamp ## The native client with its command and its C library, built (.cache/sdk-native)
	@scripts/require cc=build-essential pkg-config=pkg-config /usr/include/vpx/vpx_encoder.h=libvpx-dev /usr/include/opus/opus.h=libopus-dev
	cargo build $(SDK_NATIVE) $(SDK_NATIVE_CRATES)

test-sdk-native: sdk-native build $(VENV)/dev.stamp ## The native client: its lints and tests, programs in C, calls with the Python SDK
	cargo clippy $(SDK_NATIVE) $(SDK_NATIVE_CRATES) --all-targets -- -D warnings
	cargo test $(SDK_NATIVE) $(SDK_NATIVE_CRATES)
	$(BIN)/python -m pytest -q tests/native_sdk/live.py tests/native_sdk/c_rules.py tests/native_sdk/c_calls.py tests/native_sdk/c_behaviour.py

install-sdk-native: sdk-native ## The C library and its header, into PREFIX (PREFIX=/usr/local)
	scripts/install-native $(PREFIX) .cache/sdk-native/debug

# What leaves a session: tests/egress/README.md says what each of them shows.
EGRESS_TESTS := tests/unit/egress tests/unit/archives tests/unit/broadcasts tests/unit/captions tests/unit/hls tests/unit/renders tests/unit/member \
	tests/unit/connectors tests/unit/calls tests/unit/rest/test_archives.py tests/unit/rest/test_broadcasts.py tests/contract/test_core_taps.py \
	tests/contract/test_taps.py tests/interop/test_tap.py tests/interop/test_archives.py tests/interop/test_composed_archives.py tests/interop/test_broadcasts.py \
	tests/interop/test_rtmp_targets.py tests/interop/test_audio_connector.py tests/interop/test_sip_calls.py tests/interop/test_sip_servers.py \
	tests/interop/test_renders.py tests/interop/test_member_archives.py tests/interop/test_buckets.py tests/interop/test_captions.py tests/official/test_archives.py \
	tests/official/test_renders.py tests/official/test_audio_connector.py tests/official/test_sip_calls.py

test-egress: build $(VENV)/dev.stamp $(VENV)/official.stamp $(BUCKETS) ## What leaves a session: archives, broadcasts, renders, calls, buckets; the long tests too (ROW=11: of tests/egress/README.md)
	@scripts/require ffmpeg=ffmpeg turnserver=coturn /usr/lib/postgresql=postgresql ip=iproute2 baresip=baresip-core sipp=sip-tester chromium=chromium bwrap=bubblewrap /usr/share/doc/libpangoft2-1.0-0=libpangoft2-1.0-0 nginx=nginx-core /usr/lib/nginx/modules/ngx_rtmp_module.so=libnginx-mod-rtmp $(GSTREAMER)
	tests="$(EGRESS_TESTS)"; [ -z "$(ROW)" ] || tests=$$($(BIN)/python scripts/egress_rows.py "$(ROW)") || exit 1; \
	scripts/live-tests --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 4 $$tests

# What it shows: docs/cluster.md. Two nodes and the simulation are in `make test`.
test-cluster: build $(VENV)/dev.stamp ## Nodes of a cluster: three processes behind HAProxy, killed, frozen, without their database, up to ten minutes
	@scripts/require /usr/lib/postgresql=postgresql haproxy=haproxy
	$(BIN)/python -m pytest -q --durations 10 tests/cluster tests/unit/cluster tests/contract/test_cluster_engine.py tests/contract/test_cluster_commands.py tests/interop/test_nodes.py tests/interop/test_links.py

test-web: $(VENV)/web.stamp ## Browser SDK tests in Node
	cd sdk/web && npm test --silent
	cd sdk/web && node scripts/test.mjs ../../web/demo/tests

test-browser: build $(if $(WITHOUT_LONG),,$(VENV)/bundled.stamp) ## The browser SDK in real Chromium and Firefox
	@scripts/require /usr/bin/chromium=chromium /usr/bin/firefox-esr=firefox-esr ffmpeg=ffmpeg turnserver=coturn
	cd sdk/web && npm run --silent test:browser

test-image: build $(VENV)/dev.stamp ## The container image, built and run without a container engine (root)
	@scripts/require buildah=buildah debootstrap=debootstrap docker-compose=docker-compose unshare=util-linux
	JOBS=$(JOBS) scripts/image $(if $(WITHOUT_LONG),,egress)
	$(BIN)/python -m pytest -q tests/image/checks.py tests/image/compose.py $(if $(WITHOUT_LONG),,tests/image/egress.py)

image-not-tested:
	@echo "NOT TESTED: the container image, which takes root: sudo make test-image"

# Not a part of `make test`: the programs are large to install, and the files change seldom.
DEPLOY_PROGRAMS := caddy=caddy haproxy=haproxy promtool=prometheus prometheus=prometheus nft=nftables systemd-analyze=systemd unshare=util-linux turnserver=coturn openssl=openssl

test-deploy: build $(VENV)/dev.stamp ## The files of deploy/, read by Caddy, Prometheus, systemd, nftables, and run (root)
	@scripts/require $(DEPLOY_PROGRAMS)
	@[ -x .cache/deploy/bin/kubernetes-validate ] || { $(PYTHON) -m venv .cache/deploy && .cache/deploy/bin/pip install --quiet kubernetes-validate==1.37.0; }
	$(BIN)/python -m pytest -q tests/deploy/programs.py tests/deploy/live.py

random-acts: build $(VENV)/dev.stamp ## Clients that do things in any order, 200 live runs of each SDK, about an hour (RUNS=200 SEED=1)
	RANDOM_RUNS=$(or $(RUNS),200) RANDOM_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/interop/test_random_acts.py
	RANDOM_RUNS=$(or $(RUNS),200) RANDOM_SEED=$(or $(SEED),1) node --test tests/browser/random-acts.test.mjs

test-hostile: build $(VENV)/dev.stamp ## The clients against a server that lies
	@scripts/require /usr/bin/chromium=chromium /usr/bin/firefox-esr=firefox-esr node=nodejs pulseaudio=pulseaudio
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile $(NOT_LONG) tests/hostile

lint: build $(VENV)/dev.stamp ## Formatting, lints, types, import contracts, stubs
	@$(MAKE) $(SIDE_BY_SIDE) lint-native lint-python lint-web

lint-python: build $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy sdk/python/src
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest sfu._native

lint-native: build $(VENV)/dev.stamp
	$(CORE_API) | diff - sfu/core_api.py || { echo "sfu/core_api.py is not what native/worker/src/api says: make docs"; exit 1; }
	cd native && cargo fmt --all --check
	cd native && cargo clippy --workspace --all-targets --quiet --jobs $(JOBS) -- -D warnings
	cargo fmt --manifest-path sdk/native/Cargo.toml --all --check
	cargo clippy --all-targets $(SDK_CARGO) -- -D warnings
	cd native && cargo fmt --manifest-path fuzz/Cargo.toml --check
	cd native && cargo check --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target --quiet --jobs $(JOBS)

lint-web: build
	cd sdk/web && npm run --silent lint
	cd sdk/web && npx --no prettier -- --check ../react/src ../../web/demo ../../web/reference/page.js ../../web/reference/index.html ../../tests/browser ../../tests/official/bridge.mjs
	cd sdk/web && npx --no tsc -- -p ../../web/demo
	cd web/demo && ../../sdk/web/node_modules/.bin/eslint .
	cd sdk/react && npm run --silent lint

format: $(VENV)/dev.stamp ## Format all sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd native && cargo fmt --all
	cargo fmt --manifest-path sdk/native/Cargo.toml --all
	cd sdk/web && npm run --silent format
	cd sdk/web && npx --no prettier -- --write ../react/src ../../web/demo ../../web/reference/page.js ../../web/reference/index.html ../../tests/browser ../../tests/official/bridge.mjs

screenshots: build ## The room at `/` in six sizes with up to 16 people, into .cache/screenshots (BROWSER=firefox)
	@scripts/require /usr/bin/chromium=chromium /usr/bin/firefox-esr=firefox-esr
	node tests/browser/screenshots.mjs .cache/screenshots $(or $(BROWSER),chromium)

bench: build $(VENV)/dev.stamp ## Measure Sealroute and every peer found here, 25 minutes; writes bench/RESULTS.md
	@$(BENCH_REQUIRES) || true
	$(BIN)/python -m bench.compare $(ARGS)

bench-quick: build $(VENV)/dev.stamp ## The same in three minutes
	@$(BENCH_REQUIRES) || true
	$(BIN)/python -m bench.compare --quick $(ARGS)

bench-full: build $(VENV)/dev.stamp ## All scenarios with all servers, five rounds: hours
	@$(BENCH_REQUIRES) || true
	$(BIN)/python -m bench.compare --full $(ARGS)

bench-forwarding: build $(VENV)/dev.stamp ## Cost of a forwarded packet, this server alone
	$(BIN)/python -m bench.forwarding $(ARGS)

bench-cluster: build $(VENV)/dev.stamp ## What a session on two workers costs against one, about eight minutes; writes bench/CLUSTER.md
	$(BIN)/python -m bench.split --write $(ARGS)

bench-rest: build $(VENV)/dev.stamp ## Requests per second, delays and CPU of the REST API
	$(BIN)/python -m bench.rest $(ARGS)

bench-joins: build $(VENV)/dev.stamp ## CPU of a join, without callbacks and with them
	$(BIN)/python -m bench.joins $(ARGS)

bench-memory: build $(VENV)/dev.stamp ## Memory of an idle server, first and later starts, and of a viewer
	$(BIN)/python -m bench.memory $(ARGS)

bench-families: build $(VENV)/dev.stamp ## A packet on a media address of IPv4 against one on ::
	$(BIN)/python -m bench.families $(ARGS)

bench-browser: build $(VENV)/dev.stamp ## What encryption costs a browser: a call of four streams, clear and encrypted in turn
	@scripts/require /usr/bin/chromium=chromium
	$(BIN)/python -m bench.browser $(ARGS)

bench-before: build $(VENV)/dev.stamp ## This tree against an older built clone: make bench-before BEFORE=/path
	$(BIN)/python -m bench.before $(BEFORE) $(ARGS)

bench-guard: build ## Instructions per forwarded packet against the committed baseline
	@scripts/require valgrind=valgrind
	$(BIN)/python -m bench.guard $(ARGS)

bench-egress: build $(VENV)/dev.stamp ## What archives cost, beside ffmpeg, GStreamer and forwarding, about 12 minutes; writes bench/EGRESS.md
	@scripts/require ffmpeg=ffmpeg gst-launch-1.0=gstreamer1.0-tools /usr/share/doc/gstreamer1.0-plugins-ugly=gstreamer1.0-plugins-ugly /usr/share/doc/gstreamer1.0-libav=gstreamer1.0-libav || true
	$(BIN)/python -m bench.egress --write $(ARGS)

bench-network: build ## Calls between real browsers on bad networks (root); writes bench/NETWORK.md
	@scripts/require /usr/bin/chromium=chromium /usr/sbin/ip=iproute2 curl=curl ffmpeg=ffmpeg
	$(BIN)/python -m bench.network $(ARGS)

bench-attack: build $(VENV)/dev.stamp ## A call under attack, about five minutes; writes bench/ATTACKS.md
	$(BIN)/python -m bench.attack $(ARGS)

FUZZ_SECONDS ?= 600
fuzz: build $(VENV)/dev.stamp ## Every fuzz target for ten minutes (FUZZ_SECONDS=600), or some (TARGET="stun sdp"), or one side (TARGET=native)
	@scripts/require cc=build-essential
	@$(PYTHON) scripts/fuzz.py $(FUZZ_SECONDS) $(TARGET)

fuzz-hours: $(VENV)/dev.stamp ## What each fuzz target has had in all runs so far
	@$(PYTHON) scripts/fuzz.py --table

check-switches: build $(VENV)/dev.stamp ## 10,000 layer switches for each codec, decoded; writes bench/SWITCHES.md
	@scripts/require ffmpeg=ffmpeg
	$(BIN)/python -m bench.switches --write $(ARGS)

check-descriptors: build $(VENV)/dev.stamp ## A million layer extensions, each read by two readers, about five minutes
	DESCRIPTORS=1000000 $(BIN)/python -m pytest -q tests/unit/native/test_header_extension_readers.py

docs: build $(VENV)/dev.stamp ## Write the generated documents again
	$(CORE_API) > $(VENV)/core_api.py
	mv $(VENV)/core_api.py sfu/core_api.py
	$(BIN)/python -c 'from config.load import sample_toml; print(sample_toml(), end="")' > $(VENV)/default.toml
	mv $(VENV)/default.toml config/default.toml
	$(BIN)/python -m signaling.spec.protocol_pages docs/protocol
	$(BIN)/python -m signaling.spec.typescript > sdk/web/src/signaling/messages.ts
	$(BIN)/python -m signaling.spec.web_shapes > sdk/web/src/signaling/shapes.ts
	$(BIN)/python -m signaling.spec.sdk_rules web > sdk/web/src/rules.ts
	$(BIN)/python -m signaling.spec.native_messages > sdk/native/protocol/src/messages.rs
	$(BIN)/python -m signaling.spec.sdk_rules native > sdk/native/rules/src/table.rs
	$(BIN)/python -m signaling.spec.native_errors > sdk/native/capi/include/sealroute_errors.h
	$(BIN)/python -m signaling.spec.sdk_event_types web > sdk/web/src/event-types.ts
	$(BIN)/python -m signaling.spec.sdk_event_types python > $(PYTHON_SDK)/events.py
	$(BIN)/python -m signaling.spec.sdk_rules python | $(BIN)/ruff format --stdin-filename $(PYTHON_SDK)/rules.py - > $(VENV)/rules.py
	mv $(VENV)/rules.py $(PYTHON_SDK)/rules.py
	$(BIN)/python -m signaling.spec.python_shapes | $(BIN)/ruff format --stdin-filename $(PYTHON_SDK)/shapes.py - > $(VENV)/shapes.py
	mv $(VENV)/shapes.py $(PYTHON_SDK)/shapes.py
	$(BIN)/python -m bench.plot

docs-site: $(VENV)/web.stamp $(VENV)/docs.stamp ## Build the documentation site into .cache/site/html
	@scripts/site/build

clean: ## Remove what was built
	rm -rf $(VENV) .cache native/target sdk/web/node_modules sdk/web/dist signaling/web
