# make run     build the relay and start it without any configuration
# make build-default  build the program without the store for PostgreSQL
# make test    run all tests, with real clients and servers
# make release  build the program for a mail gateway: .build/release/hiveku-relay
# make faults  kill the relay, and make its disk, clock, SES and clients fail: the long form of tests that make test also runs
# make deb     build a Debian package in .build/package/; make test-deb installs, upgrades and removes the package (as root)
# make bench   measure how fast the relay accepts mail, compared with Postfix
#              make bench BENCH="--work b,f --rounds 1" runs a part of it
# make bench-storeless: build the relay without its store, for BENCH="--servers relay,storeless"
# make bench-micro: measure the time that single parts of the relay take
# make bench-instructions: count the instructions of these parts; it fails if one needs more than Benchmarks/instructions.json allows
# make bench-page: measure the operator's page with 100,000 keys and 1,000,000 messages; takes some minutes
# make bench-postgresql: measure the store on PostgreSQL: compared with a minimal client and with SQLite, with slow commits, and with
#              a transaction that stays open
# make pictures: take new pictures of the operator's page for the README
# make fuzz    check properties that hold for any input, with 10 million inputs each; FUZZ="-s 60 data tls" checks two of them for 60 s
# make fuzz-short: check some of these properties for a short time, as CI does
# make readers  compare the relay with other programs that read mail, on 30,000 From fields; FROM_SEED=7 for other fields
# make sanitize: run the unit tests under AddressSanitizer and ThreadSanitizer
# make docs    build the modules' documentation in .build/docs/; serve it with any web server (python3 -m http.server -d .build/docs)
# make lint    check the form of the sources, as CI does
# make check-alerts  test each alert for Prometheus (a part of make test)
# make deps-run, make deps-release, make deps-test, make deps-faults, make deps-bench, make deps-instructions, make deps-deb: install
#              what those targets need (Debian, Ubuntu)
# CONTRIBUTING.md has more about these targets.

SHELL := /bin/bash
SWIFT ?= swift
# The build has the store for PostgreSQL. build-default builds without it.
TRAITS := --traits PostgreSQL
VENV := .venv
# swaks, and git-email in a list below, with the Perl modules that they need for TLS. Their packages only recommend these modules.
APT_RUN := libssl-dev libsqlite3-dev zlib1g-dev swaks libnet-ssleay-perl
APT_RELEASE := $(APT_RUN) python3
APT_BENCH := $(APT_RUN) gcc openssl python3 wrk
APT_INSTRUCTIONS := $(APT_RUN) python3 valgrind
APT_FAULTS := testssl.sh
APT_PEERS := postfix dovecot-core
BENCH ?=
BENCHMARKS := Benchmarks/.build
FAULTS ?=
FUZZ ?= -r 10000000
DOCUMENTED := $(patsubst Sources/%/,%,$(dir $(wildcard Sources/*/*.docc)))
# Programs that read mail, whose results the tests compare with the relay's checks of the header, and packages that run these programs.
APT_READERS := libmailtools-perl libemail-address-xs-perl ruby-mail golang-go libmail-java libactivation-java \
	openjdk-17-jdk-headless
# Clients of the recipes in docs/applications.md, and libraries for Exim. Exim is only unpacked, not installed.
APT_CLIENTS := php-cli php-curl libphp-phpmailer nodejs node-nodemailer monitoring-plugins-basic \
	libnss-wrapper libdb5.3 libgnutls-dane0 libgnutls30 libidn12 libidn2-0 libnsl2 libpcre2-8-0
# A browser for the operator's page, and the driver by which the tests control it.
APT_BROWSER := chromium chromium-driver
# Libraries for HAProxy, which is only unpacked.
APT_BALANCERS := liblua5.3-0 libopentracing-c-wrapper0
# Libraries for PostgreSQL and pgbouncer, which are only unpacked. The relay itself loads libpq.
APT_POSTGRESQL := libpq5 libc-ares2 libevent-2.1-7 libgssapi-krb5-2 libicu72 libldap-2.5-0 liblz4-1 libpam0g libreadline8 \
	libselinux1 libsystemd0 libuuid1 libxml2 libxslt1.1 libzstd1 tzdata
APT_TEST := $(APT_RUN) openssl curl msmtp s-nail git-email libio-socket-ssl-perl libauthen-sasl-perl \
	gcc strace systemd fish groff-base mandoc zsh sqlite3 python3 python3-venv \
	libmail-deliverystatus-bounceparser-perl $(APT_READERS) $(APT_CLIENTS) \
	$(APT_BALANCERS) $(APT_BROWSER) iproute2 $(APT_POSTGRESQL)
# Clients of those recipes that must not be installed, because they would start services, or replace the machine's mail server or its
# Django. They are only unpacked.
CLIENTS := nullmailer exim4-daemon-light prometheus-alertmanager prometheus-blackbox-exporter python3-django python3-sqlparse \
	python3-asgiref
# Load balancers that the PROXY protocol is tested with. They are only unpacked, because an installation would start services.
BALANCERS := haproxy nginx libnginx-mod-stream
# A server that several relays share, and pgbouncer. They are only unpacked, because an installation would start services.
POSTGRESQL := postgresql-15 postgresql-client-15 pgbouncer
APT_DEB := $(APT_RUN) debhelper dpkg-dev lintian python3
APT_TEST_DEB := debootstrap
# The program from which the man pages and completions are made, and the directory for them.
PROGRAM ?= .build/debug/hiveku-relay
DOCUMENTS ?= .build/documents
PACKAGE := .build/package

.PHONY: run first-build build build-default release documents deb test test-swift test-integration test-deb check-alerts readers faults fuzz fuzz-short \
	sanitize sanitize-address sanitize-thread bench bench-storeless bench-micro bench-instructions bench-page bench-postgresql pictures docs lint format \
	deps-run deps-release deps-test deps-test-packages deps-faults deps-bench deps-instructions deps-deb clean

run: first-build build
	.build/debug/hiveku-relay serve --demo

build: first-build deps-run
	$(SWIFT) build $(TRAITS) --product hiveku-relay

# Builds what a build without options makes. CI runs this, so that the store for PostgreSQL stays optional.
build-default: deps-run
	$(SWIFT) build --product hiveku-relay

first-build:
	@[ -x .build/debug/hiveku-relay ] || echo "The first build takes about five minutes on two fast cores, ten on slow ones; a later one takes seconds."

# GRDB and Yams need Foundation, which is linked in with only a part of ICU's data. The program exports no symbols, because nothing that
# is loaded into it needs them. So the linker can drop more unused code.
release: deps-release
	options=$$(Scripts/icu-data.py $(SWIFT) .build/icu-data.o) || echo "so the program holds all of it, and is 30 MB larger"; \
	$(SWIFT) build $(TRAITS) -c release --static-swift-stdlib --product hiveku-relay -Xlinker --no-export-dynamic $$options

# Man pages and completions are made from the program's own definitions, so they agree with it.
documents:
	debian/manual.py $(PROGRAM) etc/relay.yaml $(DOCUMENTS)/man
	mkdir -p $(addprefix $(DOCUMENTS)/,bash zsh fish)
	$(PROGRAM) --generate-completion-script bash | sed '1{/^#!/d}' > $(DOCUMENTS)/bash/hiveku-relay
	$(PROGRAM) --generate-completion-script zsh > $(DOCUMENTS)/zsh/_hiveku-relay
	$(PROGRAM) --generate-completion-script fish > $(DOCUMENTS)/fish/hiveku-relay.fish

# The program is built before debhelper runs, because debhelper hides the home directory in which SwiftPM keeps its caches.
deb: deps-deb release
	mkdir -p $(PACKAGE)
	rm -f $(PACKAGE)/hiveku-relay*
	dpkg-buildpackage --build=binary --no-sign --no-pre-clean \
		--buildinfo-option=-u$(PACKAGE) --buildinfo-file=$(PACKAGE)/hiveku-relay.buildinfo \
		--changes-option=-u$(PACKAGE) --changes-file=$(PACKAGE)/hiveku-relay.changes
	lintian --fail-on error,warning $(PACKAGE)/hiveku-relay.changes
	@ls -l $(PACKAGE)/*.deb

test: deps-test test-swift test-integration

# The virtual environment comes first in PATH, so that tests that start a Python server find its packages.
# Tests that use a PostgreSQL server run one after the other: while a transaction of one test is open, in any database, the search index
# lacks new words of another test. The contract runs again through pgbouncer. In its session mode each client has one session of the
# server. In its transaction mode each transaction may have another one.
test-swift: deps-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test $(TRAITS) --skip PostgreSQLStoreTests --skip PostgreSQLTestSupportTests
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test $(TRAITS) --skip-build --filter PostgreSQLTestSupportTests
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test $(TRAITS) --skip-build --no-parallel --filter PostgreSQLStoreTests
	for mode in session transaction; do PATH="$(CURDIR)/$(VENV)/bin:$$PATH" POSTGRESQL_TEST_POOLING=$$mode \
		$(SWIFT) test $(TRAITS) --skip-build --no-parallel --filter PostgreSQLStoreTests.ContractTests || exit 1; done

# The tests wait most of their time, so more of them can run side by side than the machine has cores. The tests of a file run in one
# process and in their order, because they share a relay. PYTEST_WORKERS= runs all tests one after the other.
PYTEST_WORKERS ?= --numprocesses 4 --dist loadfile

# The build has the store for PostgreSQL, which some tests need.
test-integration: deps-test
	$(SWIFT) build $(TRAITS) --product hiveku-relay
	$(SWIFT) build $(TRAITS) --product compose-probe
	$(VENV)/bin/python -m pytest $(PYTEST_WORKERS) Tests/Integration
	$(VENV)/bin/python Tests/Integration/on_postgresql.py -q $(PYTEST_WORKERS)

# The long form of a test of InternetMessageTests. It has another seed each day.
FROM_FIELDS ?= 30000
FROM_SEED ?= $(shell date +%Y%m%d)
readers: deps-test
	@echo "seed: $(FROM_SEED)"
	FROM_FIELDS=$(FROM_FIELDS) FROM_SEED=$(FROM_SEED) PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(SWIFT) test $(TRAITS) --filter OtherReadersTests

check-alerts: deps-test
	$(VENV)/bin/python -m pytest Tests/Integration/test_alerts.py

# This takes about half an hour. `make faults FAULTS="-k kill"` runs a part of it.
faults: deps-faults
	$(SWIFT) build $(TRAITS) --product hiveku-relay
	FAULTS_SIZE=full $(VENV)/bin/python -m pytest -s Tests/Integration/faults $(FAULTS)

# The tests run on a machine of their own: a minimal Debian with systemd, made with debootstrap and unshare.
test-deb: deb deps-test
	$(call apt_install,$(APT_TEST_DEB))
	$(VENV)/bin/python -m pytest -x Tests/Package

bench: release deps-bench
	python3 Benchmarks/bench.py $(BENCH)

bench-postgresql: release deps-bench deps-test
	$(SWIFT) build -c release --product postgresql-probe
	$(VENV)/bin/python Benchmarks/postgresql.py $(BENCH)

bench-storeless: deps-run
	$(SWIFT) build --package-path Benchmarks -c release --product storeless

# The store's files are in TMPDIR. It must be on a real disk, because the store syncs them.
bench-micro: deps-run
	mkdir -p $(BENCHMARKS)
	TMPDIR="$(CURDIR)/$(BENCHMARKS)" $(SWIFT) package --package-path Benchmarks benchmark --target Micro --no-progress $(BENCH)

bench-instructions: deps-instructions
	$(SWIFT) build --package-path Benchmarks -c release --product once
	Benchmarks/instructions.py $(BENCH)

# PROGRAM=.build/release/hiveku-relay measures the release build.
bench-page: deps-test
	$(SWIFT) build $(TRAITS) --product hiveku-relay
	$(VENV)/bin/python Benchmarks/operator_page.py --binary $(PROGRAM)

pictures: deps-test
	$(SWIFT) build $(TRAITS) --product hiveku-relay
	WRITE_PICTURES=1 $(VENV)/bin/python -m pytest Tests/Integration/test_operator_page_pictures.py

fuzz: deps-run
	SWIFT="$(SWIFT)" Tests/Fuzz/run.sh $(FUZZ)

# Only those fuzzers that can be built within a minute.
fuzz-short: deps-run
	SWIFT="$(SWIFT)" Tests/Fuzz/run.sh -s 8 data commands header from parts readable address compose sasl tls

# The builds are in directories beside .build, because a sanitizer needs a build of everything. LeakTests is skipped, because it would
# measure the sanitizers' own memory. LeakSanitizer is off: it reports memory as lost that Swift keeps in tagged pointers, or that is still
# in use when the process ends.
sanitize: sanitize-address sanitize-thread

sanitize-address: deps-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ASAN_OPTIONS=detect_leaks=0 \
		$(SWIFT) test $(TRAITS) --scratch-path .build-address --sanitize address --skip LeakTests

# mutex.c tells ThreadSanitizer about Synchronization.Mutex. Otherwise ThreadSanitizer would report every contended lock as a race.
# MemoryTests is skipped too, because it watches an event loop, which is slower under ThreadSanitizer than the test allows.
sanitize-thread: deps-test
	$(SWIFT) build $(TRAITS) --scratch-path .build-thread --sanitize thread --build-tests
	"$$(dirname "$$(command -v $(SWIFT))")/clang" -shared -fPIC -O1 -o .build-thread/mutex.so Tests/Sanitize/mutex.c
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" LD_PRELOAD="$(CURDIR)/.build-thread/mutex.so" \
		$(SWIFT) test $(TRAITS) --scratch-path .build-thread --sanitize thread --skip-build --skip LeakTests --skip MemoryTests

# A broken link is an error. A parameter with a clear name needs no line. One call for all modules makes one site.
docs: deps-run
	HIVEKU_RELAY_DOCS=1 $(SWIFT) package --allow-writing-to-directory .build/docs generate-documentation \
		$(addprefix --target ,$(DOCUMENTED)) --enable-experimental-combined-documentation \
		--warnings-as-errors --disable-parameters-and-returns-validation --transform-for-static-hosting --output-path .build/docs

# Single directories of Benchmarks, because it also contains a build directory.
SWIFT_SOURCES := Package.swift Sources Tests $(addprefix Benchmarks/,Package.swift Micro Once Storeless Workloads)

# Words that make readers stop. `lint` refuses them.
HARD_WORDS := anew|mend|mends|mended|mending|whoever|whomever|lest

lint:
	$(SWIFT) format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	@! grep -rnwiIE '$(HARD_WORDS)' --exclude-dir='.[!.]*' --exclude=LICENSE --exclude=Makefile . || \
		{ echo "use plainer words: again, correct, a client that"; exit 1; }

format:
	$(SWIFT) format format --in-place --recursive --parallel $(SWIFT_SOURCES)

# Installs only packages that are missing. So a machine that has all of them needs neither root nor network.
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

deps-release:
	$(call apt_install,$(APT_RELEASE))

# Postfix is installed without a configuration, so that it starts no mail server. It never replaces another mail server. If it can't be
# installed, the relay is measured alone.
deps-bench:
	$(call apt_install,$(APT_BENCH))
	@run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	if ! dpkg-query -W -f '$${Status}' $(APT_PEERS) 2>/dev/null | grep -q 'ok installed.*ok installed'; then \
		echo "postfix postfix/main_mailer_type select No configuration" | $$run debconf-set-selections && \
		$$run apt-get update -q && \
		$$run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-remove --no-install-recommends $(APT_PEERS) \
		|| echo "Postfix is not installed: the relay is measured without it"; \
	fi

deps-instructions:
	$(call apt_install,$(APT_INSTRUCTIONS))

deps-faults: deps-test
	$(call apt_install,$(APT_FAULTS))

deps-deb:
	$(call apt_install,$(APT_DEB))

deps-test: $(VENV)/ready $(VENV)/bin/promtool $(VENV)/fail2ban $(VENV)/clients $(VENV)/balancers $(VENV)/postgresql
	@true

# This is checked each time, because the list may have become longer since the virtual environment was made.
deps-test-packages:
	$(call apt_install,$(APT_TEST))

# Only promtool is taken out of Debian's package prometheus (19 MB), because an installation of the package would start a server. If the
# package can't be downloaded, the alerts are not tested.
$(VENV)/bin/promtool: | $(VENV)/ready
	@if found=$$(command -v promtool); then ln -s "$$found" $@; else \
		run=$$([ "$$(id -u)" = 0 ] || echo sudo); directory=$$(mktemp -d); \
		( cd $$directory && { apt-get download -q prometheus || { $$run apt-get update -q && apt-get download -q prometheus; }; } && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && mv usr/bin/promtool "$(CURDIR)/$@" ) \
		|| echo "promtool can't be downloaded: the alerts are not tried"; \
		rm -rf $$directory; \
	fi

# fail2ban is unpacked and not installed, because the package would start its service. The tests only need the program that runs filters.
$(VENV)/fail2ban: $(VENV)/ready
	cd $(VENV) && rm -f fail2ban_*.deb; \
	run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	apt-get download -q fail2ban || { $$run apt-get update -q && apt-get download -q fail2ban; }
	cd $(VENV) && rm -rf unpacked fail2ban && dpkg -x fail2ban_*.deb unpacked && touch unpacked && mv -T unpacked fail2ban

# Downloads packages and unpacks them into a directory of the virtual environment.
define unpack
	cd $(VENV) && rm -rf packages unpacked && mkdir packages && cd packages; \
	run=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	apt-get download -q $(1) || { $$run apt-get update -q && apt-get download -q $(1); }
	cd $(VENV) && for package in packages/*.deb; do dpkg -x $$package unpacked || exit 1; done
	cd $(VENV) && rm -rf packages $(2) && touch unpacked && mv -T unpacked $(2)
endef

$(VENV)/clients: $(VENV)/ready
	$(call unpack,$(CLIENTS),clients)

# `clients` comes first, because both unpack in the same directory.
$(VENV)/balancers: $(VENV)/ready | $(VENV)/clients
	$(call unpack,$(BALANCERS),balancers)

$(VENV)/postgresql: $(VENV)/ready | $(VENV)/balancers
	$(call unpack,$(POSTGRESQL),postgresql)

$(VENV)/ready: Tests/requirements.txt | deps-test-packages
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

clean:
	rm -rf .build .build-fuzz .build-address .build-thread $(BENCHMARKS) $(VENV) .hiveku-relay
	rm -rf debian/.debhelper debian/documents debian/hiveku-relay debian/files debian/*.debhelper debian/*.substvars \
		debian/debhelper-build-stamp
