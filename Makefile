# make run     build the relay and try it, without any configuration
# make test    every test, with real clients and servers
# make release the program for a mail gateway: .build/release/hiveku-relay
# make bench   how fast the relay takes mail, beside Postfix
#              make bench BENCH="--work b,f --rounds 1" does a part of it
# make docs    the modules' documentation: .build/docs/, for a web server (any: python3 -m http.server -d .build/docs)
# make lint    what CI holds the sources to
# make deps-run, make deps-test, make deps-bench: install what those need (Debian, Ubuntu)

SHELL := /bin/bash
SWIFT ?= swift
VENV := .venv
APT_RUN := libssl-dev libsqlite3-dev zlib1g-dev swaks
APT_BENCH := $(APT_RUN) gcc openssl python3
APT_PEERS := postfix dovecot-core
BENCH ?=
DOCUMENTED := $(patsubst Sources/%/,%,$(dir $(wildcard Sources/*/*.docc)))
APT_TEST := $(APT_RUN) openssl curl msmtp s-nail git-email python3 python3-venv

.PHONY: run build release test test-swift test-integration bench docs lint format deps-run deps-test deps-bench clean

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

# A link that leads nowhere is an error; a parameter whose name says all needs no line. One call for all modules makes one site.
docs: deps-run
	HIVEKU_RELAY_DOCS=1 $(SWIFT) package --allow-writing-to-directory .build/docs generate-documentation \
		$(addprefix --target ,$(DOCUMENTED)) --enable-experimental-combined-documentation \
		--warnings-as-errors --disable-parameters-and-returns-validation --transform-for-static-hosting --output-path .build/docs

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

deps-test: $(VENV)/ready $(VENV)/fail2ban
	@true

# Unpacked, not installed: the package would start its service. The tests want its filters' interpreter only.
$(VENV)/fail2ban: $(VENV)/ready
	cd $(VENV) && rm -f fail2ban_*.deb; \
	run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	apt-get download -q fail2ban || { $$run apt-get update -q && apt-get download -q fail2ban; }
	cd $(VENV) && rm -rf unpacked && dpkg -x fail2ban_*.deb unpacked && touch unpacked && mv -T unpacked fail2ban

$(VENV)/ready: Tests/requirements.txt
	$(call apt_install,$(APT_TEST))
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

clean:
	rm -rf .build $(VENV) .hiveku-relay
