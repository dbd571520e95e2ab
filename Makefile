# make run     build the relay and try it, without any configuration
# make test    every test, with real clients and servers
# make release the program for a mail gateway: .build/release/hiveku-relay
# make deb     a Debian package of it, in .build/package/; make test-deb installs, upgrades and removes that (as root)
# make bench   how fast the relay takes mail, beside Postfix
#              make bench BENCH="--work b,f --rounds 1" does a part of it
# make lint    what CI holds the sources to
# make deps-run, make deps-test, make deps-bench, make deps-deb: install what those need (Debian, Ubuntu)

SHELL := /bin/bash
SWIFT ?= swift
VENV := .venv
APT_RUN := libssl-dev libsqlite3-dev zlib1g-dev swaks
APT_BENCH := $(APT_RUN) gcc openssl python3
APT_PEERS := postfix dovecot-core
BENCH ?=
APT_TEST := $(APT_RUN) openssl curl msmtp s-nail git-email python3 python3-venv fish groff-base mandoc zsh
APT_DEB := $(APT_RUN) debhelper dpkg-dev lintian python3
APT_TEST_DEB := debootstrap
# The program that the man pages and completions are made from, and where they go.
PROGRAM ?= .build/debug/hiveku-relay
DOCUMENTS ?= .build/documents
PACKAGE := .build/package

.PHONY: run build release documents deb test test-swift test-integration test-deb bench lint format \
	deps-run deps-test deps-bench deps-deb clean

run: build
	.build/debug/hiveku-relay serve --demo

build: deps-run
	$(SWIFT) build --product hiveku-relay

release: deps-run
	$(SWIFT) build -c release --static-swift-stdlib --product hiveku-relay

# From the program's own definitions, so that they say what it does.
documents:
	debian/manual.py $(PROGRAM) etc/relay.yaml $(DOCUMENTS)/man
	mkdir -p $(addprefix $(DOCUMENTS)/,bash zsh fish)
	$(PROGRAM) --generate-completion-script bash | sed '1{/^#!/d}' > $(DOCUMENTS)/bash/hiveku-relay
	$(PROGRAM) --generate-completion-script zsh > $(DOCUMENTS)/zsh/_hiveku-relay
	$(PROGRAM) --generate-completion-script fish > $(DOCUMENTS)/fish/hiveku-relay.fish

# The program is built before debhelper, which takes away the home directory that SwiftPM keeps its caches in.
deb: deps-deb release
	mkdir -p $(PACKAGE)
	rm -f $(PACKAGE)/hiveku-relay*
	dpkg-buildpackage --build=binary --no-sign --no-pre-clean \
		--buildinfo-option=-u$(PACKAGE) --buildinfo-file=$(PACKAGE)/hiveku-relay.buildinfo \
		--changes-option=-u$(PACKAGE) --changes-file=$(PACKAGE)/hiveku-relay.changes
	lintian --fail-on error,warning $(PACKAGE)/hiveku-relay.changes
	@ls -l $(PACKAGE)/*.deb

test: deps-test test-swift test-integration

# The tests that start a Python server find it in the virtual environment.
test-swift: deps-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test

# The product is up to date after test-swift; by itself this builds it.
test-integration: deps-test
	$(SWIFT) build --product hiveku-relay
	$(VENV)/bin/python -m pytest Tests/Integration

# A machine of its own: a minimal Debian with systemd, made with debootstrap and unshare.
test-deb: deb deps-test
	$(call apt_install,$(APT_TEST_DEB))
	$(VENV)/bin/python -m pytest -x Tests/Package

bench: release deps-bench
	python3 Benchmarks/bench.py $(BENCH)

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

deps-deb:
	$(call apt_install,$(APT_DEB))

deps-test: $(VENV)/ready
	@true

$(VENV)/ready: Tests/requirements.txt
	$(call apt_install,$(APT_TEST))
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

clean:
	rm -rf .build $(VENV) .hiveku-relay
