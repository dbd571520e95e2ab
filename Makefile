# make run     build the relay and try it, without any configuration
# make test    every test, with real clients and servers
# make release the program for a mail gateway: .build/release/hiveku-relay
# make lint    what CI holds the sources to
# make deps-run, make deps-test: install what those need (Debian, Ubuntu)

SHELL := /bin/bash
SWIFT ?= swift
VENV := .venv
APT_RUN := libssl-dev libsqlite3-dev zlib1g-dev swaks
APT_TEST := $(APT_RUN) openssl curl msmtp s-nail git-email python3 python3-venv

.PHONY: run build release test test-swift test-integration lint format deps-run deps-test clean

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

deps-test: $(VENV)/ready
	@true

$(VENV)/ready: Tests/requirements.txt
	$(call apt_install,$(APT_TEST))
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

clean:
	rm -rf .build $(VENV) .hiveku-relay
