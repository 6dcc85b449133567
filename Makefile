# `make` lists what there is to make.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: fuzz soak e2e-protocols protocols-deps help deps e2e-deps survival-deps run build test e2e lint deny survival desync bench bench-floor bench-seeing bench-idle bench-l4

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Asks nothing, and waits where another program installs something, too.
APT := DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600

# Installs Debian packages as root; otherwise says which command to run.
define install
	@if ! command -v $(1) >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    $(APT) update && $(APT) install $(2); \
	  else \
	    echo "$(1) is missing. Install it: sudo apt-get install $(2)" >&2; exit 1; \
	  fi; \
	fi
endef

deps: ## Install what the build needs, or say what to install
	@command -v cargo >/dev/null || { echo "Rust is missing. Install it: https://rustup.rs" >&2; exit 1; }
	$(call install,cc,gcc libc6-dev)
	$(call install,cmake,cmake)
	$(call install,curl,curl)

# Its version is fixed: a newer one may find more, which is then a change of its own.
SCHEMATHESIS := 4.32.5

# A collector of OpenTelemetry that PyPI has as a binary.
ROTEL := 0.0.1a15

# What drives Debian's Chromium, what examines the dashboard in it, and what applications talk by.
PLAYWRIGHT := 1.65.1
AXE := 4.14.1
SOCKET_IO := 4.8.4

e2e-deps: ## Install what the end-to-end tests need: Tomcat 10, Redis, Chromium, dnsmasq, promtool, schemathesis and rotel
	$(call install,chromium,chromium)
	$(call install,npm,nodejs npm)
	@if [ "$$(cat target/browser/versions 2>/dev/null)" != "$(PLAYWRIGHT) $(AXE) $(SOCKET_IO)" ]; then \
	  mkdir -p target/browser && npm install --silent --no-audit --no-fund --no-save --prefix target/browser \
	    playwright-core@$(PLAYWRIGHT) axe-core@$(AXE) socket.io@$(SOCKET_IO) && echo "$(PLAYWRIGHT) $(AXE) $(SOCKET_IO)" > target/browser/versions; \
	fi
	$(call install,redis-server,redis-server)
	$(call install,promtool,prometheus)
	$(call install,dnsmasq,dnsmasq-base)
	@if [ ! -d /usr/share/tomcat10 ] || [ ! -d /usr/share/tomcat10-examples ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    $(APT) update && $(APT) install tomcat10 tomcat10-examples; \
	  else \
	    echo "Tomcat is missing. Install it: sudo apt-get install tomcat10 tomcat10-examples" >&2; exit 1; \
	  fi; \
	fi
	@if ! target/schemathesis/bin/schemathesis --version 2>/dev/null | grep -q ' $(SCHEMATHESIS)$$'; then \
	  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      $(APT) update && $(APT) install python3-venv; \
	    else \
	      echo "Python's venv is missing. Install it: sudo apt-get install python3-venv" >&2; exit 1; \
	    fi; \
	  fi; \
	  mkdir -p target && python3 -m venv --clear target/schemathesis \
	    && target/schemathesis/bin/pip install --quiet schemathesis==$(SCHEMATHESIS); \
	fi
	@if [ "$$(cat target/rotel/version 2>/dev/null)" != "$(ROTEL)" ]; then \
	  python3 -m venv --clear target/rotel && target/rotel/bin/pip install --quiet rotel==$(ROTEL) \
	    && echo "$(ROTEL)" > target/rotel/version; \
	fi

# Written for Python 2, which Debian no longer has: of the protocol tests, this one alone is no part of CI. The same cases, as far as they are a
# balancer's, are in tests/data/websocket.
PYTHON2 ?= python2.7
AUTOBAHN := 25.10.1

protocols-deps: e2e-deps ## Install what the protocol tests need: PostgreSQL, mosquitto, dig, rsyslog, curl, nghttp2, gRPC, testssl.sh, slowhttptest, Autobahn
	$(call install,pgbench,postgresql postgresql-contrib)
	$(call install,dig,bind9-dnsutils)
	$(call install,ip,iproute2)
	$(call install,rsyslogd,rsyslog)
	$(call install,mosquitto,mosquitto)
	$(call install,mosquitto_sub,mosquitto-clients)
	$(call install,openssl,openssl)
	$(call install,slowhttptest,slowhttptest)
	$(call install,curl,curl)
	$(call install,nghttp,nghttp2-client)
	$(call install,testssl,testssl.sh)
	@if ! target/websockets/bin/python -c 'import websockets' 2>/dev/null; then \
	  python3 -m venv --clear target/websockets && target/websockets/bin/pip install --quiet websockets==17.4; \
	fi
	@if [ ! -x target/autobahn/bin/wstest ]; then \
	  if $(PYTHON2) --version >/dev/null 2>&1; then \
	    $(PYTHON2) -m pip install -q --target target/autobahn-begin 'virtualenv<20.22' \
	      && PYTHONPATH=target/autobahn-begin $(PYTHON2) -m virtualenv -q target/autobahn \
	      && target/autobahn/bin/pip install -q autobahntestsuite==$(AUTOBAHN); \
	  else \
	    echo "There is no $(PYTHON2), so the Autobahn suite is left out; PYTHON2=… names one"; \
	  fi; \
	fi
	@if ! target/grpc/bin/python -c 'import grpc' 2>/dev/null; then \
	  python3 -m venv target/grpc && target/grpc/bin/pip install -q grpcio; \
	fi

build: deps ## Build the release binary
	cargo build --release

run: deps ## Start the demonstration
	cargo run --profile quick -- demo

test: deps ## Run all tests that need no other server
	cargo build --example survival --example jwt_session_key --example tenant_pool
	cargo test --lib --bins --test suite --test soak --test simulation --test survival
	cargo test --doc

e2e: deps e2e-deps ## Run the end-to-end tests: three real Tomcats, a real Redis, real Chromium, schemathesis on the admin API, promtool, a collector of traces
	cargo test --test e2e --test replicas -- --ignored --nocapture

e2e-protocols: deps protocols-deps ## Run real clients and servers of many protocols, TLS scans and slow attacks through it
	cargo test --test protocols --test http_clients --test hard_shell -- --ignored --nocapture

survival: deps survival-deps ## Play incidents on Steadfast, HAProxy and NGINX, and print who lost what
	cargo build --profile quick --bin steadfast --example survival
	target/quick/examples/survival

desync: deps survival-deps ## Send odd HTTP/1 requests through Steadfast, HAProxy, NGINX and bare Pingora, and print what got through
	cargo build --profile quick --bin steadfast --example desync --example bare_pingora
	target/quick/examples/desync --detail

survival-deps: ## Install the others that take part: HAProxy and NGINX
	$(call install,haproxy,haproxy)
	$(call install,nginx,nginx)

fuzz: deps ## Fuzz each parser of foreign bytes for a minute (FUZZ_SECONDS), from the kept corpus
	$(call install,c++,g++)
	fuzz/run $${FUZZ_SECONDS:-60}

soak: deps ## Reload and upgrade under load for two minutes (SOAK_SECONDS): nothing may drop
	SOAK_SECONDS=$${SOAK_SECONDS:-120} cargo test --test soak -- --nocapture

lint: deps ## Check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib

deny: ## Check licences, bans, sources and advisories of dependencies
	cargo deny check

bench: deps ## Run the micro-benchmarks
	cargo bench

bench-floor: deps ## Measure CPU per request against a bare Pingora proxy
	cargo build --release --bin steadfast --example bare_pingora --example bench_floor --example bench_idle
	target/release/examples/bench_floor

bench-seeing: deps ## Measure what access log, metrics and traces cost for each request
	cargo build --profile quick --bin steadfast --example bench_seeing
	target/quick/examples/bench_seeing

bench-idle: deps ## Measure memory per idle connection against a bare Pingora proxy
	cargo build --release --bin steadfast --example bare_pingora --example bench_floor --example bench_idle
	ulimit -n $$(ulimit -Hn) && target/release/examples/bench_idle

bench-l4: deps survival-deps ## Measure TCP and UDP beside HAProxy and NGINX: CPU per GB, connection and datagram, memory when idle
	@[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || $(APT) install libnginx-mod-stream
	cargo build --release --bin steadfast --example bench_l4
	ulimit -n $$(ulimit -Hn) && target/release/examples/bench_l4
