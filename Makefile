# make run     build the relay and try it, without any configuration
# make test    every test, with real clients and servers
# make release the program for a mail gateway: .build/release/hiveku-relay
# make bench   how fast the relay takes mail, beside Postfix
#              make bench BENCH="--work b,f --rounds 1" does a part of it
# make fuzz    properties that hold for any input, against 10 million inputs each; FUZZ="-s 60 data tls" for 60 s of two of them
# make fuzz-short: what CI does of it
# make sanitize: the unit tests under AddressSanitizer and ThreadSanitizer
# make lint    what CI holds the sources to
# make deps-run, make deps-test, make deps-bench: install what those need (Debian, Ubuntu)

SHELL := /bin/bash
SWIFT ?= swift
VENV := .venv
APT_RUN := libssl-dev libsqlite3-dev zlib1g-dev swaks
APT_BENCH := $(APT_RUN) gcc openssl python3
APT_PEERS := postfix dovecot-core
BENCH ?=
FUZZ ?= -r 10000000
APT_TEST := $(APT_RUN) openssl curl msmtp s-nail git-email python3 python3-venv

.PHONY: run build release test test-swift test-integration bench fuzz fuzz-short sanitize sanitize-address sanitize-thread lint format deps-run deps-test deps-bench clean

run: build
	.build/debug/hiveku-relay serve --demo

build: deps-run
	$(SWIFT) build --product hiveku-relay

release: deps-run
	$(SWIFT) build -c release --static-swift-stdlib --product hiveku-relay

test: deps-test test-swift test-integration

# The tests that start a Python server find it in the virtual environment.
test-swift: deps-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test

# The product is up to date after test-swift; by itself this builds it.
test-integration: deps-test
	$(SWIFT) build --product hiveku-relay
	$(VENV)/bin/python -m pytest Tests/Integration

bench: release deps-bench
	python3 Benchmarks/bench.py $(BENCH)

fuzz: deps-run
	SWIFT="$(SWIFT)" Tests/Fuzz/run.sh $(FUZZ)

# Those that are built in a minute.
fuzz-short: deps-run
	SWIFT="$(SWIFT)" Tests/Fuzz/run.sh -s 8 data commands header from address sasl tls

# Apart from .build, since everything is built anew. Without LeakTests, which measure the memory that the sanitizers use for
# themselves; and without LeakSanitizer, to which what Swift keeps in tagged pointers, or at the end of the process, is lost.
sanitize: sanitize-address sanitize-thread

sanitize-address: deps-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ASAN_OPTIONS=detect_leaks=0 \
		$(SWIFT) test --scratch-path .build-address --sanitize address --skip LeakTests

# With what ThreadSanitizer can't see of Synchronization.Mutex told to it, or every contended lock is taken for a race.
sanitize-thread: deps-test
	$(SWIFT) build --scratch-path .build-thread --sanitize thread --build-tests
	"$$(dirname "$$(command -v $(SWIFT))")/clang" -shared -fPIC -O1 -o .build-thread/mutex.so Tests/Sanitize/mutex.c
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" LD_PRELOAD="$(CURDIR)/.build-thread/mutex.so" \
		$(SWIFT) test --scratch-path .build-thread --sanitize thread --skip-build --skip LeakTests

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

format:
	$(SWIFT) format format --in-place --recursive --parallel Package.swift Sources Tests

# Installs only what is missing, so that a prepared machine needs neither root nor network.
define apt_install
	@missing=$$(for package in $(1); do dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -n "$$missing" ]; then \
		run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		echo "installing:" $$missing; \
		$$run apt-get update -q && $$run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi
endef

deps-run:
	$(call apt_install,$(APT_RUN))

# Postfix without a configuration, so that installing it starts no mail server; and never in the place of another one. Where
# it can't be had, the relay is measured alone.
deps-bench:
	$(call apt_install,$(APT_BENCH))
	@run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	if ! dpkg-query -W -f '$${Status}' $(APT_PEERS) 2>/dev/null | grep -q 'ok installed.*ok installed'; then \
		echo "postfix postfix/main_mailer_type select No configuration" | $$run debconf-set-selections && \
		$$run apt-get update -q && \
		$$run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-remove --no-install-recommends $(APT_PEERS) \
		|| echo "Postfix is not installed: the relay is measured without it"; \
	fi

deps-test: $(VENV)/ready
	@true

$(VENV)/ready: Tests/requirements.txt
	$(call apt_install,$(APT_TEST))
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

clean:
	rm -rf .build .build-fuzz .build-address .build-thread $(VENV) .hiveku-relay
