"""Thousands of connections at once: the limits hold, a client with a key is served, and memory is bounded.

The measured figures are for a release build: HIVEKU_RELAY_BINARY=.build/release/hiveku-relay make faults FAULTS="-k crowd".
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from process import memory, sockets
from relay import DEADLINE, ROOT
from shims import compiled
from sizes import IS_FULL, size
from submit import send, session, submit

MESSAGE = b"From: from@example.com\r\n\r\n" + b"x" * 70 + b"\r\n"
CROWD = size(1_500, 10_000)
BYSTANDERS = size(300, 5_000)
MEASURED = size(20, 500)


@pytest.fixture(autouse=True)
def descriptors():
    """Allows as many open files as the system permits, for this process and for those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    needed = CROWD + 200
    if before[1] < needed:
        pytest.skip(f"needs {needed} open files, {before[1]} are allowed")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def crowd(relay, count, dripping=0):
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "crowd.py", str(relay.ports["smtp"]), str(count), str(dripping)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(DEADLINE)


def test_connections_beyond_the_limit_are_refused_and_leave_nothing_behind(own_relay):
    relay = own_relay({"submission.max_connections": 1000})
    key = relay.create_key(per_second=1000)
    with session(relay, key) as smtp:
        with crowd(relay, CROWD) as told:
            # A connection that is closed meanwhile, because it has not authenticated, makes room for another one.
            assert told["greeted"] >= 1000 - 1 and told["refused"] > 0, told
            assert told["greeted"] + told["refused"] == CROWD
            relay.wait_until(lambda: sockets(relay) <= 2 + 1000, "no more connections than the limit")
            # A client that has authenticated keeps its connection.
            for _ in range(5):
                assert send(smtp, MESSAGE)[0] == 250
        relay.wait_until(lambda: sockets(relay) == 3, "the crowd's connections are closed")
        assert send(smtp, MESSAGE)[0] == 250
    relay.wait_for_state(submit(relay, key, MESSAGE), "simulated")


def test_a_crowd_within_the_limit_is_served(own_relay):
    relay = own_relay({"submission.max_connections": 20_000, "submission.max_connections_per_client": 20_000})
    key = relay.create_key(per_second=1000)
    with crowd(relay, CROWD) as told:
        assert told == {"greeted": CROWD, "refused": 0, "silent": 0}
        relay.wait_for_state(submit(relay, key, MESSAGE), "simulated")
    relay.wait_until(lambda: sockets(relay) == 2, "the crowd's connections are closed")


def test_silent_connections_are_closed_to_admit_a_client_with_a_key(own_relay):
    """A crowd takes every place, and a client with a key gets in nevertheless.

    Silent connections are then closed after 10 s, instead of the usual time limit.
    """
    relay = own_relay({"submission.max_connections": 200, "submission.auth_timeout": "10m"})
    key = relay.create_key(per_second=1000)
    with crowd(relay, 400) as told:
        assert told["greeted"] == 200

        def gets_in():
            try:
                return submit(relay, key, MESSAGE)
            except (OSError, AssertionError):
                return None

        relay.wait_for_state(relay.wait_until(gets_in, "the client with a key gets in"), "simulated")
        # The relay has not closed more connections than necessary.
        relay.wait_until(lambda: sockets(relay) <= 2 + 160, "a fifth of the places is free")
        assert sockets(relay) >= 2 + 150


@pytest.mark.skipif(not IS_FULL, reason="a measurement, which needs FAULTS_SIZE=full")
def test_unauthenticated_connections_do_not_slow_down_authenticated_ones(own_relay):
    """The test sends messages to two relays in turn, so that other load on the machine affects both in the same way."""
    settings = {"submission.max_connections": 20_000, "submission.max_connections_per_client": 20_000,
                "submission.auth_timeout": "10m", "log.level": "notice"}
    relays = [own_relay(settings), own_relay(settings)]
    taken = [[], []]
    with crowd(relays[1], BYSTANDERS, BYSTANDERS // 2) as told:
        assert told["greeted"] == BYSTANDERS
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(session(relay, relay.create_key(per_second=1_000_000))) for relay in relays]
            for number in range(MEASURED + 20):
                for which, client in enumerate(clients):
                    began = time.monotonic()
                    assert send(client, MESSAGE)[0] == 250
                    if number >= 20:
                        taken[which].append(1000 * (time.monotonic() - began))
    idle, beside = [statistics.quantiles(times, n=100) for times in taken]
    print(f"one message, p50 and p99: {idle[49]:.1f} and {idle[98]:.1f} ms on an idle relay, {beside[49]:.1f} and "
          f"{beside[98]:.1f} ms beside {BYSTANDERS} connections")
    assert beside[98] <= 3 * idle[98]


@pytest.fixture(scope="module")
def smtp_load(tmp_path_factory):
    return compiled(
        ROOT / "Benchmarks/load/smtp-load.c", tmp_path_factory.mktemp("load") / "smtp-load", "-lssl", "-lcrypto", "-lm")


def load(smtp_load, relay, key, **options):
    command = [str(smtp_load), "--port", str(relay.ports["smtp"]), "--timeout", "900"]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "SMTP_LOAD_PASSWORD": key})


@pytest.mark.skipif(not IS_FULL, reason="needs FAULTS_SIZE=full and a release build")
def test_memory_of_idle_connections(own_relay, smtp_load):
    relay = own_relay({"submission.max_connections": 2000, "submission.max_connections_per_client": 2000})
    key = relay.create_key(per_second=1_000_000)
    assert json.loads(load(smtp_load, relay, key, sessions=20, messages=200).communicate()[0])["accepted"] == 200
    before = memory(relay)
    process = load(smtp_load, relay, key, idle=1000)
    assert '"idle"' in process.stdout.readline()
    each = (memory(relay) - before) / 1000
    assert json.loads(process.communicate()[0])["alive"] == 1000
    print(f"an idle authenticated TLS connection takes {each / 1024:.1f} KB")
    assert each <= 64 * 1024


@pytest.mark.skipif(not IS_FULL, reason="needs FAULTS_SIZE=full and a release build")
def test_memory_stays_bounded_while_large_messages_arrive(own_relay, smtp_load):
    relay = own_relay({"submission.max_connections": 2000, "submission.max_connections_per_client": 2000})
    key = relay.create_key(per_second=1_000_000)
    report = json.loads(load(
        smtp_load, relay, key, sessions=200, messages=200, size=25_000_000).communicate()[0])
    assert report["accepted"] == 200, report
    most = memory(relay, "VmHWM")
    print(f"200 messages of 25 MB at once: at most {most / 1e6:.0f} MB of memory")
    assert most < 300e6
