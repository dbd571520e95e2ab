"""The PostgreSQL servers of the tests behave as the tests of several relays assume."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import postgresql_server
from network import Network
from postgresql import Failed, NotInstalled, Pgbouncer, Server, full_disk, programs, run, wait_until
from relay import DEADLINE, clean_environment
from small_disk import mounted

TABLE = "CREATE TABLE message (id bigint PRIMARY KEY, body text)"


def query(url, sql, host=None, timeout=DEADLINE):
    """Logs in by the URL as a client, and returns the answer to the SQL."""
    with host.entered() if host else contextlib.nullcontext():
        return run([programs() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url], timeout, input=sql)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_the_role_relay_logs_in_with_its_password_and_owns_its_database(shared):
    query(shared.url(), f"{TABLE}; INSERT INTO message VALUES (1, 'one'); DROP TABLE message")
    with pytest.raises(Failed, match="password authentication failed"):
        query(shared.url().replace(shared.password, "another"), "SELECT 1")
    assert shared.password not in shared.log.read_text()


def test_a_new_database_is_empty_and_owned_by_the_role_relay(shared):
    assert query(shared.create_database("another"), TABLE + "; SELECT count(*) FROM message") == "0"


def test_cpu_time_includes_backends_that_have_ended(shared):
    before = shared.cpu_seconds()
    shared.psql("SELECT sum(length(md5(n::text))) FROM generate_series(1, 1000000) n")
    # The backend may run a moment longer than its client. Its time counts in both cases.
    assert shared.cpu_seconds() - before > 0.1


def test_the_server_can_be_restarted_in_each_shutdown_mode(tmp_path):
    with Server(tmp_path) as server:
        server.psql(TABLE + "; INSERT INTO message VALUES (1, 'one')")
        for mode in ("smart", "fast", "immediate"):
            server.restart(mode)
            assert server.psql("SELECT body FROM message") == "one"


def test_a_killed_server_leaves_no_process_and_keeps_its_commits(tmp_path):
    with Server(tmp_path) as server:
        server.psql(TABLE, role="relay")
        with psql_process(server) as client:
            client.stdin.write("INSERT INTO message VALUES (1, 'one'); BEGIN; INSERT INTO message VALUES (2, 'two');\n\\echo inserted\n")
            client.stdin.flush()
            assert client.stdout.readline() == "inserted\n"
            processes = server.processes()
            assert len(processes) > 2
            server.kill()
            wait_until(lambda: not any(is_running(process) for process in processes), "all processes have ended")
        server.start()
        assert server.psql("SELECT body FROM message") == "one"


def test_a_commit_waits_for_slow_flushes(tmp_path):
    with Server(tmp_path, sync_delay=0.1) as server:
        server.psql(TABLE, role="relay")
        begin = time.monotonic()
        server.psql("INSERT INTO message VALUES (1, 'one')")
        assert time.monotonic() - begin >= 0.1


@pytest.mark.parametrize("slot", [False, True])
def test_a_standby_gets_what_the_primary_commits(tmp_path, slot):
    with Server(tmp_path / "primary") as primary, primary.standby(tmp_path / "standby", name="second", slot=slot) as standby:
        assert primary.psql("SELECT application_name FROM pg_stat_replication") == "second"
        assert primary.psql("SELECT slot_name FROM pg_replication_slots") == ("second" if slot else "")
        primary.psql(TABLE + "; INSERT INTO message VALUES (1, 'one')", role="relay")
        primary.wait_for_replay(standby)
        assert query(standby.url(), "SELECT body FROM message") == "one"
        with pytest.raises(Failed, match="read-only transaction"):
            standby.psql("INSERT INTO message VALUES (2, 'two')")


def test_a_killed_primarys_synchronous_commits_are_on_the_promoted_standby(tmp_path):
    with Server(tmp_path / "primary") as primary, primary.standby(tmp_path / "standby", name="second") as standby:
        primary.psql(TABLE, role="relay")
        primary.wait_for_commits_on("second")
        with psql_process(primary) as client:
            for number in range(100):
                client.stdin.write(f"INSERT INTO message VALUES ({number}, 'one');\n\\echo {number}\n")
            client.stdin.close()
            acknowledged = [client.stdout.readline() for _ in range(20)]
            primary.kill()
            acknowledged += client.stdout.readlines()
        standby.promote()
        assert int(standby.psql("SELECT count(*) FROM message")) >= len(acknowledged) >= 20
        # The promoted server accepts writes by itself, and can have a standby too.
        query(standby.url(), "INSERT INTO message VALUES (1000, 'after')")
        with standby.standby(tmp_path / "third", name="third") as third:
            standby.wait_for_commits_on("third")
            query(standby.url(), "INSERT INTO message VALUES (1001, 'after')")
            standby.wait_for_replay(third)
            assert third.psql("SELECT count(*) FROM message WHERE body = 'after'") == "2"


def test_a_promoted_standby_waits_for_a_replica_until_that_is_reset(tmp_path):
    with Server(tmp_path / "primary") as primary:
        primary.psql(TABLE, role="relay")
        primary.set("synchronous_standby_names", "1 (second)")
        with primary.standby(tmp_path / "standby", name="second") as standby:
            primary.kill()
            standby.promote(reset=False)
            with psql_process(standby) as client:
                client.stdin.write("INSERT INTO message VALUES (1, 'one');\n\\echo inserted\n")
                client.stdin.flush()
                wait_until(
                    lambda: standby.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1",
                    "a commit waits for a standby")
                standby.set("synchronous_standby_names", "")
                assert client.stdout.readline() == "inserted\n"


def test_a_full_disk_fails_the_statement_but_not_the_server(tmp_path):
    with mounted(tmp_path, "96m") as disk, Server(disk, wal_directory=tmp_path / "wal") as server:
        server.psql(TABLE, role="relay")
        with full_disk(server), pytest.raises(Failed, match="No space left on device"):
            server.psql("INSERT INTO message SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
        server.psql("INSERT INTO message VALUES (1, 'one')")
        assert server.psql("SELECT count(*) FROM message") == "1"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pgbouncer_forwards_clients_in_each_pool_mode(shared, tmp_path, mode):
    with Pgbouncer(shared, tmp_path, mode) as pgbouncer:
        assert query(pgbouncer.url(), "SELECT current_user, inet_server_port()") == f"relay|{shared.port}"
        # In transaction mode, two clients share a session of the server between their transactions. In session mode they do not.
        pids = "SELECT pg_backend_pid()"
        with psql_process(shared, pgbouncer.url()) as one, psql_process(shared, pgbouncer.url()) as other:
            for client in (one, other):
                client.stdin.write(pids + ";\n")
                client.stdin.flush()
            wait_until(lambda: one.poll() is None and other.poll() is None, "both clients run")
            same = one.stdout.readline() == other.stdout.readline()
        assert same is (mode == "transaction")
        with pytest.raises(Failed, match="SASL authentication failed"):
            query(pgbouncer.url().replace(shared.password, "another"), "SELECT 1")


def test_a_network_partition_drops_packets_until_it_heals(tmp_path):
    with Network("one", "two", "three") as network, Server(tmp_path, host=network["one"]) as server:
        answers = {name: query(server.url(), "SELECT inet_client_addr()", network[name]) for name in ("two", "three")}
        assert answers == {name: network[name].address for name in ("two", "three")}

        network.cut("one", "two")
        with network["two"].entered(), pytest.raises(TimeoutError):
            socket.create_connection((server.address, server.port), timeout=1)
        assert query(server.url(), "SELECT 1", network["three"]) == "1"

        network.isolate("one")
        with network["three"].entered(), pytest.raises(TimeoutError):
            socket.create_connection((server.address, server.port), timeout=1)
        # The tests still reach the server through its Unix socket.
        assert server.psql("SELECT 1") == "1"

        network.heal()
        for name in ("two", "three"):
            assert query(server.url(), "SELECT 1", network[name]) == "1"


def test_an_isolated_primary_acknowledges_nothing_and_its_standby_is_promoted(tmp_path):
    with Network("one", "two") as network, Server(tmp_path / "primary", host=network["one"]) as primary, \
            primary.standby(tmp_path / "standby", name="second", host=network["two"]) as standby:
        primary.psql(TABLE, role="relay")
        primary.wait_for_commits_on("second")
        network.isolate("one")
        with psql_process(primary) as client:
            client.stdin.write("INSERT INTO message VALUES (1, 'one');\n\\echo inserted\n")
            client.stdin.flush()
            wait_until(
                lambda: primary.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1",
                "a commit waits for a standby")
            standby.promote()
            query(standby.url(), "INSERT INTO message VALUES (1, 'another')", network["two"])
            primary.kill()
            assert client.stdout.read() == ""


def test_threads_can_be_on_different_hosts():
    with Network("one", "two") as network:
        addresses = {}

        def look(name):
            with network[name].entered():
                found = subprocess.run(["ip", "-json", "address", "show", "net0"], capture_output=True, check=True).stdout
                addresses[name] = json.loads(found)[0]["addr_info"][0]["local"]

        threads = [threading.Thread(target=look, args=[name]) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert addresses == {name: network[name].address for name in ("one", "two")}


@pytest.mark.parametrize("options", [[], ["--pgbouncer", "session"], ["--pgbouncer", "transaction"]])
def test_the_served_server_creates_databases_and_ends_at_end_of_input(options, tmp_path):
    served = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "postgresql.py", "--serve", tmp_path, *options], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        urls = [served.stdout.readline().strip()]
        for _ in range(2):
            served.stdin.write("database\n")
            served.stdin.flush()
            urls.append(served.stdout.readline().strip())
        for url in urls:
            query(url, TABLE)
        served.stdin.write(f"drop {urls[1]}\n")
        served.stdin.flush()
        assert served.stdout.readline() == "dropped\n"
        # The databases are listed, because a connection to the dropped one would not fail: pgbouncer would try again and again.
        assert query(urls[0], "SELECT datname FROM pg_database WHERE datname LIKE 'test%'") == "test2"
        postmaster = int((tmp_path / "data/postmaster.pid").read_text().split()[0])
        served.stdin.close()
        assert served.wait(DEADLINE) == 0
        assert not is_running(postmaster)
    finally:
        served.kill()
        served.wait()


def test_a_missing_postgresql_installation_names_the_make_target(tmp_path, monkeypatch):
    monkeypatch.setattr(postgresql_server, "PLACES", [tmp_path / "nowhere"])
    with pytest.raises(NotInstalled, match="make deps-test"), Server(tmp_path):
        pass


@contextlib.contextmanager
def psql_process(server, url=None):
    """A client to which the test writes statements, one line after the other. It ends with the `with` statement."""
    process = subprocess.Popen(
        [str(programs() / "psql"), "-XAtq", "-d", url or f"postgresql:///relay?host={server._sockets}&port={server.port}&user=postgres"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean_environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
